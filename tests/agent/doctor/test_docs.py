"""The page on doctor says what the code does."""

import argparse
import re
from pathlib import Path

from asd_agent.capture.signal_health import CLIPPED_SHARE, MOST_DC, QUIET_DBFS
from asd_agent.cli import _parser
from asd_agent.doctor import dossier, machine, meter, network, sound, storage, support
from asd_agent.doctor.verb import LONGEST_S

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
SHIPPED = Path(__file__).parents[3] / "deploy" / "mosquitto" / "acl"


def test_every_option_is_there() -> None:
    verbs = next(
        action
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    own = verbs.choices["doctor"]._actions
    options = {option for action in own for option in action.option_strings}
    named = set(re.findall(r"^\| `(--\w+)", PAGE, re.M))
    assert named == options - {"-h", "--help", "--config"}
    assert f"1 to {LONGEST_S:.0f}" in PAGE


def test_the_limits_are_those_of_the_code() -> None:
    for text in (
        f"{machine.HOT_C:.0f} °C",
        f"less than {machine.LOW_BYTES / 1e6:.0f} MB for a new program",
        f"less than {storage.LEAST_BYTES / 1e6:.0f} MB, or no inode",
        f"under {storage.LEAST_INODES:,} inodes",
        f"takes over {storage.SLOW_S:.0f} s",
        f"after {meter.SETTLE_S:.0f} s",
        f"under {QUIET_DBFS:.0f} dBFS; an offset over {MOST_DC:.0%}",
        f"under {sound.FAINT_DBFS:.0f} dBFS; an offset over {sound.HIGH_DC:.0%}",
        f"over {CLIPPED_SHARE:.0%} of the samples",
        f"| over {sound.FEW_CLIPPED:.2%} |",
        f"{1000 * sound.STUCK_S:.0f} ms of one value",
        f"ends within {network.SOON_DAYS} days",
        f"at most {support.MAX_BYTES / 1e6:.0f} MB",
        f"{dossier.MAX_LISTED:,} at most",
        f"the newest {dossier.COVERAGE_DAYS} days",
        f"the last {dossier.JOURNAL[4]} lines",
    ):
        assert text.replace("%", " %") in PAGE, text


def test_the_shipped_rules_have_the_topic() -> None:
    rules = SHIPPED.read_text()
    for verb in ("read", "write"):
        assert f"pattern {verb} factory/%u/doctor\n" in rules
