"""Downloads from a server on this machine that behaves well, or does not."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import requests

from asd_agent.errors import SoundError
from asd_train.data.catalogue import PARTS, catalogue, entries
from asd_train.data.download import TRIES, fetch
from asd_train.data.zenodo import RemoteFile, check_address, read_record, select

if TYPE_CHECKING:
    from train.data.conftest import Zenodo

DATA = np.random.default_rng(0).bytes(3_000_000)
KEY = "dev_data_fan.zip"


def _file(zenodo: "Zenodo", session: requests.Session) -> RemoteFile:
    zenodo.records[7] = {KEY: DATA}
    (file,) = read_record(session, 7, zenodo.url).files
    return file


def _ranges(zenodo: "Zenodo") -> list[str]:
    return [wanted for _, wanted in zenodo.asked]


def test_a_file_and_its_progress(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    told: list[int] = []
    target = tmp_path / "new/x.zip"
    fetch(session, _file(zenodo, session), target, told.append)
    assert target.read_bytes() == DATA
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, len(DATA))
    assert [path.name for path in target.parent.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_gone_on_with(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path, ranges: bool
) -> None:
    zenodo.ranges = ranges
    zenodo.cut_after = [1_500_000, 1_300_000]
    waits: list[float] = []
    target = tmp_path / "x.zip"
    fetch(session, _file(zenodo, session), target, pause=waits.append)
    assert target.read_bytes() == DATA
    assert waits == [1.0, 2.0]
    starts = [int(wanted[6:-1]) for wanted in _ranges(zenodo)]
    assert len(starts) == 3
    assert starts[0] == 0
    assert 1_000_000 <= starts[1] <= 1_500_000
    if ranges:
        assert starts[1] < starts[2] <= 2_800_000


def test_what_is_there_stays_for_the_next_call(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    file = _file(zenodo, session)
    zenodo.cut_after = [1_200_000] + [0] * (TRIES - 1)
    target = tmp_path / "x.zip"
    with pytest.raises(SoundError, match=r"of 3000000 bytes, then .* goes on from"):
        fetch(session, file, target, pause=lambda _: None)
    assert not target.exists()
    have = (tmp_path / "x.zip.part").stat().st_size
    assert 0 < have <= 1_200_000
    zenodo.asked.clear()
    fetch(session, file, target)
    assert _ranges(zenodo) == [f"bytes={have}-"]
    assert target.read_bytes() == DATA


def test_a_wrong_checksum_gives_no_file_and_is_loaded_anew(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    zenodo.checksum = "md5:" + "0" * 32
    bad = _file(zenodo, session)
    target = tmp_path / "x.zip"
    with pytest.raises(SoundError, match="its bytes are not those of the record"):
        fetch(session, bad, target)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip.part"]
    zenodo.checksum = ""
    (tmp_path / "x.zip.part").write_bytes(bytes(len(DATA)))
    fetch(session, _file(zenodo, session), target)
    assert target.read_bytes() == DATA


def test_a_part_that_is_whole_is_not_loaded_again(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    file = _file(zenodo, session)
    (tmp_path / "x.zip.part").write_bytes(DATA)
    fetch(session, file, tmp_path / "x.zip")
    assert zenodo.asked == []


def test_a_busy_server_is_waited_for_as_it_asks(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    zenodo.fail = [429, 503]
    waits: list[float] = []
    target = tmp_path / "x.zip"
    fetch(session, _file(zenodo, session), target, pause=waits.append)
    assert target.read_bytes() == DATA
    assert waits == [7.0, 7.0]


def test_a_refusal_is_not_asked_again(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    zenodo.fail = [403]
    with pytest.raises(SoundError, match="403"):
        fetch(session, _file(zenodo, session), tmp_path / "x.zip")
    assert len(zenodo.asked) == 1


def test_more_bytes_than_the_record_tells(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    file = _file(zenodo, session).model_copy(update={"size": 1000})
    with pytest.raises(SoundError, match="more than the 1000 bytes"):
        fetch(session, file, tmp_path / "x.zip")


def test_a_place_that_cannot_be_written(
    zenodo: "Zenodo", session: requests.Session, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SoundError, match="cannot be written"):
        fetch(session, _file(zenodo, session), tmp_path / "file/x.zip")


def test_only_encrypted_addresses_elsewhere() -> None:
    check_address("https://zenodo.org/api")
    check_address("http://127.0.0.1:80/api")
    for url in ("http://zenodo.org/api", "ftp://zenodo.org/x", "file:///etc/passwd"):
        with pytest.raises(SoundError, match="not an https address"):
            check_address(url)


def test_a_record_that_is_not_there(
    zenodo: "Zenodo", session: requests.Session
) -> None:
    with pytest.raises(SoundError, match=r"records/8: no list of files \(404"):
        read_record(session, 8, zenodo.url)


@pytest.mark.parametrize("key", ["../x.zip", ".x", "a/b.zip", "", "a\nb"])
def test_a_name_that_is_none(
    zenodo: "Zenodo", session: requests.Session, key: str
) -> None:
    zenodo.records[7] = {key: b""}
    with pytest.raises(SoundError, match=r"not understood, files\.0\.key"):
        read_record(session, 7, zenodo.url)


@pytest.mark.parametrize(
    ("key", "machine"),
    [
        ("dev_data_ToyCar.zip", "ToyCar"),
        ("dev_bearing.zip", "bearing"),
        ("dev_ToyCar_r2.zip", "ToyCar"),
        ("eval_data_train_fan.zip", "fan"),
        ("eval_data_test_fan.zip", "fan"),
        ("eval_data_3DPrinter_train.zip", "3DPrinter"),
        ("eval_data_ToyDrone.zip", "ToyDrone"),
        ("dev_data.zip", ""),
        ("eval_data_list.csv", ""),
    ],
)
def test_archives_of_all_years(key: str, machine: str) -> None:
    file = RemoteFile.model_validate(
        {
            "key": key,
            "size": 1,
            "checksum": "md5:" + "0" * 32,
            "links": {"self": "https://zenodo.org/x"},
        }
    )
    assert file.machine == machine
    assert select([file], ()) == [file]
    assert select([file], ["Toy*", "fan"]) == [file] * (machine[:3] in ("Toy", "fan"))


def test_catalogue_has_every_year_and_no_record_twice() -> None:
    rows = catalogue()
    assert {row.year for row in rows} == set(range(2020, 2027))
    assert len({row.record for row in rows}) == len(rows)
    assert [(row.year, PARTS.index(row.part)) for row in rows] == sorted(
        (row.year, PARTS.index(row.part)) for row in rows
    )
    assert [entry.record for entry in entries(2023, ("dev", "eval"))] == [
        7882613,
        7860847,
    ]
