"""Findings, how they are gathered, and how they look on a terminal."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

import pytest

from asd_agent.doctor.examination import Examination, examine
from asd_agent.doctor.finding import Finding, Grade, fail, ok, refused, skip, warn
from asd_agent.doctor.report import Report, Screen, summary
from asd_agent.errors import BundleError, ConfigError, SiteError, SoundError

NOW = datetime(2026, 11, 21, 20, 30, tzinfo=timezone.utc)


def findings(*made: Finding) -> tuple[Finding, ...]:
    whole = Examination("part", "thing", lambda: made)
    return tuple(examine([whole], lambda text: text))


def report(*made: Finding) -> Report:
    return Report("/etc/asd.yaml", NOW, findings(*made))


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (
            "microphone 'x' is not there; found: 'a'; write one of these, or look",
            "microphone 'x' is not there; found: 'a'",
            "write one of these, or look",
        ),
        (
            "/etc/x cannot be read: Permission denied. Give this user the file",
            "/etc/x cannot be read: Permission denied",
            "Give this user the file",
        ),
        ("nobody knows what to do", "nobody knows what to do", ""),
        ("short; do it", "short; do it", ""),
        (
            "Python 3.11. 64 bit is wanted. 5 things",
            "Python 3.11. 64 bit is wanted. 5 things",
            "",
        ),
    ],
)
def test_the_fix_is_what_an_error_ends_with(text: str, what: str, fix: str) -> None:
    found = refused("thing", SoundError(text))
    assert (found.text, found.fix) == (what, fix)
    assert (found.grade, found.exit_code) == (Grade.FAIL, SoundError.exit_code)


def test_a_fix_of_ones_own_leaves_the_text_whole() -> None:
    found = refused("thing", SoundError("it is broken; mend it"), "buy another")
    assert (found.text, found.fix) == ("it is broken; mend it", "buy another")


def test_every_examination_is_done_whatever_the_others_find() -> None:
    done = []

    def good() -> Iterator[Finding]:
        done.append("good")
        yield ok("a", "well")

    def refuses() -> Iterator[Finding]:
        yield ok("b", "begun")
        raise SiteError("state_dir /x: cannot be written. Make room")

    def breaks() -> Iterable[Finding]:
        raise ZeroDivisionError("a fault of ours")

    looks = (good, refuses, breaks, good)
    found = list(
        examine((Examination("p", "s", look) for look in looks), lambda text: text)
    )
    assert done == ["good"] * 2
    assert [(f.part, f.subject, f.grade.value) for f in found] == [
        ("p", "a", "ok"),
        ("p", "b", "ok"),
        ("p", "s", "fail"),
        ("p", "s", "fail"),
        ("p", "a", "ok"),
    ]
    assert found[2].exit_code == 5
    assert found[3].text == "could not be looked at: ZeroDivisionError: a fault of ours"
    assert found[3].exit_code == 1
    assert "report it" in found[3].fix


def test_every_word_of_a_finding_is_scrubbed() -> None:
    made = fail("a", "sesame is wrong", "say sesame", figures={"id": "sesame", "n": 1})
    (found,) = examine(
        [Examination("p", "s", lambda: [made])],
        lambda text: text.replace("sesame", "*"),
    )
    assert (found.text, found.fix) == ("* is wrong", "say *")
    assert found.figures == {"id": "*", "n": 1}


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ((), 0),
        ((ok("a", "x"), warn("b", "y", "z"), skip("c", "d")), 0),
        ((ok("a", "x"), fail("b", "y", "z")), ConfigError.exit_code),
        ((fail("b", "y", "z", BundleError), fail("b", "y", "z")), 4),
        ((warn("b", "y", "z"), fail("b", "y", "z", SoundError)), 3),
    ],
)
def test_the_exit_code_is_of_the_first_failure(
    made: tuple[Finding, ...], code: int
) -> None:
    assert report(*made).exit_code == code


def test_the_text_of_a_report() -> None:
    made = report(
        ok("clock", "2026-11-21 20:30:00 UTC, set by a time server"),
        warn("room", "12 MB of 4 GB are free", "take a larger card"),
        fail("level", "-98.2 dBFS: deaf, nothing but rounding noise", "plug it in"),
        skip("login", "not tried"),
    )
    assert (
        made.text()
        == """\
asd-agent 0.1.0 doctor, /etc/asd.yaml

part
  ok    clock: 2026-11-21 20:30:00 UTC, set by a time server
  warn  room: 12 MB of 4 GB are free
        fix: take a larger card
  FAIL  level: -98.2 dBFS: deaf, nothing but rounding noise
        fix: plug it in
  skip  login: not tried

1 failed, 1 warning, 1 ok, 1 not looked at. Mend the first failure first;
others may follow from it.
"""
    )


@pytest.mark.parametrize("width", [40, 80, 100, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = "a device of 44,100 Hz and 12 ms at -30 dBFS which needs 5 % of 1.2 GB, " * 4
    lines: list[str] = []
    screen = Screen(lines.append, width)
    screen.show(warn("subject", text, text))
    assert max(map(len, lines)) < min(width, 100)
    assert "\N{NO-BREAK SPACE}" not in "".join(lines)
    # A number is never torn from its unit.
    for unit in ("Hz", "ms", "dBFS", "%", "GB"):
        assert not any(line.strip().startswith(unit) for line in lines)


def test_lines_of_a_text_stay_lines() -> None:
    lines: list[str] = []
    Screen(lines.append, 80).show(
        fail("file", "a.yaml:1: wrong\na.yaml:2: bad", "mend")
    )
    assert lines == [
        "  FAIL  file: a.yaml:1: wrong",
        "        a.yaml:2: bad",
        "        fix: mend",
    ]


def test_the_report_for_programs() -> None:
    made = report(
        ok("speed", "3.2 ms a unit", figures={"unit_ms": 3.2}),
        fail("level", "deaf", "plug it in", SoundError),
    )
    values = json.loads(json.dumps(made.json(), allow_nan=False))
    assert values == {
        "v": 1,
        "agent": "0.1.0",
        "ts": "2026-11-21T20:30:00Z",
        "config": "/etc/asd.yaml",
        "exit_code": 3,
        "counts": {"ok": 1, "warn": 0, "fail": 1, "skip": 0},
        "findings": [
            {
                "part": "part",
                "subject": "speed",
                "grade": "ok",
                "text": "3.2 ms a unit",
                "fix": None,
                "exit_code": 0,
                "figures": {"unit_ms": 3.2},
            },
            {
                "part": "part",
                "subject": "level",
                "grade": "fail",
                "text": "deaf",
                "fix": "plug it in",
                "exit_code": 3,
                "figures": {},
            },
        ],
    }


def test_the_summary() -> None:
    assert summary([]) == "0 failed, 0 warnings, 0 ok."
    assert summary([warn("a", "b", "c")]) == "0 failed, 1 warning, 0 ok."
