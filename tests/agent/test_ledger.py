"""Coverage by day: added up, kept, and mended where a file is damaged."""

import json
import threading
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from asd_agent.bundle.disk import Disk
from asd_agent.coverage import Kind, Span
from asd_agent.ledger import DAYS, Ledger

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
SCORED = Span(Kind.SCORED, "", 1000)
LOST = Span(Kind.GAP, "lost", 500)


def kept(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    ledger.add("pump", NOON, 100, [SCORED, LOST])
    ledger.save()
    return ledger


def test_seconds_by_kind_and_reason(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "coverage")
    spans = [SCORED, LOST, Span(Kind.GAP, "cut", 50), Span(Kind.SILENT, "stuck", 200)]
    ledger.add("pump", NOON, 100, [*spans, Span(Kind.SUSPECT, "clipped", 30)])
    ledger.add("pump", NOON, 100, [SCORED, Span(Kind.LEARNT, "", 100)])
    (found,) = ledger.newest("pump")
    assert (found.day, found.source) == (date(2026, 11, 22), "pump")
    assert (found.scored_s, found.learnt_s, found.gap_s) == (20.0, 1.0, 5.5)
    assert (found.silent_s, found.suspect_s) == (2.0, 0.3)
    assert found.heard_s == 28.8
    assert found.reasons == {"lost": 5.0, "cut": 0.5, "stuck": 2.0, "clipped": 0.3}
    assert ledger.newest("fan") == []


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    kept(tmp_path)
    again = kept(tmp_path)
    (found,) = again.newest("pump")
    assert (found.scored_s, found.gap_s) == (20.0, 10.0)
    assert again.sources() == ["pump"]


def test_each_day_has_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for day in range(10):
        ledger.add("pump", NOON + timedelta(days=day), 100, [SCORED] * (day + 1))
    ledger.save()
    found = Ledger(tmp_path).newest("pump", 3)
    assert [day.day.day for day in found] == [29, 30, 1]
    assert [day.scored_s for day in found] == [80.0, 90.0, 100.0]


def test_another_rate_counts_in_seconds(tmp_path: Path) -> None:
    ledger = kept(tmp_path)
    ledger.add("pump", NOON, 400, [Span(Kind.SCORED, "", 400)])
    (found,) = ledger.newest("pump")
    assert (found.scored_s, found.gap_s) == (11.0, 5.0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"v":2}',
        b'{"v":1,"sources":{"pump":{"rate_hz":0}}}',
        b'{"v":1,"sources":{"pump":{"rate_hz":1,"samples":{"gap":{"lost":-1}}}}}',
        b'{"v":1,"sources":{"pump":{"rate_hz":1,"samples":{"gap":{"lost":%d}}}}}'
        % (10**400),
        b" " * 2_000_000,
    ],
)
def test_a_damaged_day_is_set_aside(
    tmp_path: Path, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "2026-11-22.json").write_bytes(raw)
    ledger = kept(tmp_path)
    (found,) = ledger.newest("pump")
    assert found.scored_s == 10.0
    assert (tmp_path / "2026-11-22.broken").read_bytes() == raw
    assert "set aside" in caplog.text


def test_a_day_whose_file_was_not_read_is_added_to(tmp_path: Path) -> None:
    """As where the clock was set back by weeks."""
    kept(tmp_path)
    for day in range(1, 9):
        (tmp_path / f"2026-12-0{day}.json").write_text('{"v":1}')
    ledger = Ledger(tmp_path)
    assert ledger.newest("pump") == []
    ledger.add("pump", NOON, 200, [Span(Kind.SCORED, "", 400)])
    ledger.save()
    saved = json.loads((tmp_path / "2026-11-22.json").read_text())
    assert saved["sources"]["pump"]["rate_hz"] == 200
    assert saved["sources"]["pump"]["samples"]["scored"][""] == 2400


def test_nobody_who_adds_waits_for_the_disk(tmp_path: Path) -> None:
    held, asked = threading.Event(), threading.Event()

    class Hung(Disk):
        def write(self, fd: int, raw: bytes) -> None:
            asked.set()
            assert held.wait(10)
            super().write(fd, raw)

    ledger = Ledger(tmp_path, Hung())
    ledger.add("pump", NOON, 100, [SCORED])
    writer = threading.Thread(target=ledger.save)
    writer.start()
    assert asked.wait(10)
    ledger.add("pump", NOON + timedelta(days=1), 100, [SCORED])
    assert len(ledger.newest("pump")) == 2
    held.set()
    writer.join(10)
    assert not writer.is_alive()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "2026-13-45.json", "2026-11-22.json.partial"):
        (tmp_path / name).write_text("mine")
    kept(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "2026-13-45.json").read_text() == "mine"


def test_old_days_go(tmp_path: Path) -> None:
    for day in range(DAYS + 5):
        name = date(2020, 1, 1) + timedelta(days=day)
        (tmp_path / f"{name}.json").write_text('{"v":1}')
    kept(tmp_path)
    assert len(list(tmp_path.iterdir())) == DAYS
    assert (tmp_path / "2026-11-22.json").exists()
    assert not (tmp_path / "2020-01-01.json").exists()


class Full(Disk):
    """A medium without room."""

    def write(self, fd: int, raw: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_nothing_but_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Full()
    ledger = Ledger(tmp_path / "coverage", disk)
    for _ in range(3):
        ledger.add("pump", NOON, 100, [SCORED])
        ledger.save()
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
    (found,) = ledger.newest("pump")
    assert found.scored_s == 30.0
    disk.write = Disk().write  # type: ignore[method-assign]
    ledger.save()
    saved = json.loads((tmp_path / "coverage/2026-11-22.json").read_text())
    assert saved["sources"]["pump"]["samples"]["scored"][""] == 3000


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    ledger = kept(tmp_path)
    before = (tmp_path / "2026-11-22.json").stat().st_ino
    ledger.save()
    assert (tmp_path / "2026-11-22.json").stat().st_ino == before
