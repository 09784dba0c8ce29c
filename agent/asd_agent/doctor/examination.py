"""Runs examinations one after the other, whatever each of them finds."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from asd_agent.doctor.finding import Finding, fail, refused
from asd_agent.errors import AsdError

log = logging.getLogger(__name__)

REPORT_IT = "report it as a fault of the software, with the file that --bundle writes"


@dataclass(frozen=True, slots=True)
class Examination:
    """Something to look at."""

    part: str
    """What it belongs to: findings of one part stand together"""
    subject: str
    """Stands before an error that ends it"""
    look: Callable[[], Iterable[Finding]]
    """Gives what is found, as it is found"""


def examine(
    examinations: Iterable[Examination], scrub: Callable[[str], str]
) -> Iterator[Finding]:
    """Yield every finding of every examination; an error ends only its own.

    Parameters
    ----------
    examinations
        Taken one by one, so that a later one can depend on what was found.
    scrub
        Takes secrets out of a text.
    """
    for examination in examinations:
        for finding in _looked(examination):
            yield replace(
                finding,
                part=examination.part,
                text=scrub(finding.text),
                fix=scrub(finding.fix),
                figures={
                    name: scrub(value) if isinstance(value, str) else value
                    for name, value in finding.figures.items()
                },
            )


def _looked(examination: Examination) -> Iterator[Finding]:
    try:
        yield from examination.look()
    except AsdError as error:
        yield refused(examination.subject, error)
    except Exception as error:  # what breaks one examination must not hide the others
        log.debug("%s: %s", examination.part, examination.subject, exc_info=True)
        text = f"could not be looked at: {type(error).__name__}: {error}"
        yield fail(examination.subject, text, REPORT_IT, AsdError)
