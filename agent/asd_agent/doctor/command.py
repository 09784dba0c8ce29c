"""The command: looks, prints while it looks, and writes the file for support."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from asd_agent.doctor import support
from asd_agent.doctor.dossier import dossier
from asd_agent.doctor.examination import examine
from asd_agent.doctor.finding import Finding
from asd_agent.doctor.report import Report, Screen
from asd_agent.doctor.scrubber import ScrubbedLog, Scrubber
from asd_agent.doctor.visit import Options, Visit


def run(args: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit code.

    Raises
    ------
    ConfigError
        The file of ``--bundle`` cannot be written.
    """
    if args.bundle is not None:  # before a minute is spent on looking
        support.check(args.bundle, force=args.force)
    scrub = Scrubber()
    options = Options(args.config, args.source, args.seconds, args.disturb)
    visit = Visit(options, on_config=scrub.learn_from)
    began = datetime.now(timezone.utc)
    findings: list[Finding] = []
    screen = None if args.json else Screen(_print)
    with quiet_log(scrub, verbose=args.verbose):
        if screen is not None:
            screen.head(scrub(str(args.config)))
        for finding in examine(visit.examinations(), scrub):
            findings.append(finding)
            if screen is not None:
                screen.show(finding)
        report = Report(scrub(str(args.config)), began, tuple(findings))
        if screen is not None:
            screen.end(findings)
        else:
            _print(json.dumps(report.json(), indent=2, allow_nan=False))
        if args.bundle is not None:
            texts = dossier(report, visit.config, scrub)
            support.write(args.bundle, texts, force=args.force)
            print(f"written: {args.bundle}", file=sys.stderr)
    return report.exit_code


@contextmanager
def quiet_log(scrub: Scrubber, *, verbose: bool) -> Iterator[None]:
    """Take secrets out of the log, and but for `verbose` all that is in the report."""
    root = logging.getLogger()
    hidden, level = ScrubbedLog(scrub), root.level
    for handler in root.handlers:
        handler.addFilter(hidden)
    if not verbose:
        root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in root.handlers:
            handler.removeFilter(hidden)


def _print(line: str) -> None:
    print(line, flush=True)
