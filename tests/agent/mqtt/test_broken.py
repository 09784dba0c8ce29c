import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asd_agent.mqtt.broken import set_aside

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def test_a_database_goes_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"pages")
    path.with_name("outbox.db-wal").write_bytes(b"log")
    aside = set_aside(path, NOON)
    assert aside.name == "outbox.db.broken-20261121T120000Z"
    assert aside.read_bytes() == b"pages"
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"log"
    assert len(list(tmp_path.iterdir())) == 2


def test_two_are_kept_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for hour in range(4):
        path.write_bytes(b"%d" % hour)
        path.with_name("outbox.db-wal").write_bytes(b"log")
        # The clock of the device goes back each time: their own age counts.
        aside = set_aside(path, NOON - timedelta(hours=hour))
        os.utime(aside, (hour, hour))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "outbox.db.broken-20261121T090000Z",
        "outbox.db.broken-20261121T090000Z-wal",
        "outbox.db.broken-20261121T100000Z",
        "outbox.db.broken-20261121T100000Z-wal",
    ]


def test_a_log_without_its_database_goes_too(tmp_path: Path) -> None:
    (tmp_path / "outbox.db-wal").write_bytes(b"log")
    set_aside(tmp_path / "outbox.db", NOON)
    assert not (tmp_path / "outbox.db-wal").exists()
