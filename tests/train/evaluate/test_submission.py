"""The files are read as the challenge's evaluators of each year read them."""

import csv
import math
from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_train.evaluate.submission import Line, write

Rows = list[list[str]]


def read(path: Path) -> Rows:
    """Sorted by name, which is how the evaluators line rows up with the truth."""
    with path.open(newline="") as file:
        return sorted(csv.reader(file))


def line(name: str, score: float, domain: str = "", section: str = "03") -> Line:
    return Line(name, "fan", section, domain, score, score > 1)


def test_2020(tmp_path: Path) -> None:
    truth = {"id_01_00000000.wav": 0, "id_01_00000001.wav": 1}
    lines = [line(name, 0.5 + t, section="01") for name, t in truth.items()]
    write(tmp_path, 2020, reversed(lines))
    assert [p.name for p in tmp_path.iterdir()] == ["anomaly_score_fan_id_01.csv"]
    raw = (tmp_path / "anomaly_score_fan_id_01.csv").read_bytes()
    assert raw == b"id_01_00000000.wav,0.5\nid_01_00000001.wav,1.5\n"
    rows = read(tmp_path / "anomaly_score_fan_id_01.csv")
    assert [float(row[1]) > 1 for row in rows] == [bool(t) for t in truth.values()]


def test_2021(tmp_path: Path) -> None:
    names = [
        f"section_03_{d}_test_{n:04}.wav" for d in ("source", "target") for n in (0, 1)
    ]
    domains = ["source", "source", "target", "target"]
    lines = [
        line(n, i / 2, d) for i, (n, d) in enumerate(zip(names, domains, strict=True))
    ]
    write(tmp_path, 2021, lines)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {
        f"{kind}_fan_section_03_{domain}_test.csv"
        for kind in ("anomaly_score", "decision_result")
        for domain in ("source", "target")
    }
    rows = read(tmp_path / "decision_result_fan_section_03_target_test.csv")
    assert [int(row[1]) for row in rows] == [0, 1]
    rows = read(tmp_path / "anomaly_score_fan_section_03_target_test.csv")
    assert rows == [[names[2], "1.0"], [names[3], "1.5"]]
    with pytest.raises(ConfigError, match="no domain"):
        write(tmp_path, 2021, [line("a.wav", 0)])


@pytest.mark.parametrize("year", [2022, 2023, 2025])
def test_since_2022(tmp_path: Path, year: int) -> None:
    truth = {f"section_03_{n:04}.wav": n % 2 for n in range(12)}
    lines = [line(name, t * 3 - 1e-7) for name, t in truth.items()]
    write(tmp_path, year, lines)
    scores = read(tmp_path / "anomaly_score_fan_section_03_test.csv")
    decisions = read(tmp_path / "decision_result_fan_section_03_test.csv")
    assert [row[0] for row in scores] == sorted(truth)
    assert [float(row[1]) for row in scores] == [t * 3 - 1e-7 for t in truth.values()]
    assert [int(row[1]) for row in decisions] == list(truth.values())


def test_a_clip_without_a_score_keeps_its_line(tmp_path: Path) -> None:
    lines = [line("a.wav", 0.5), line("b.wav", math.nan), line("c.wav", 0.7)]
    write(tmp_path, 2022, lines)
    scores = read(tmp_path / "anomaly_score_fan_section_03_test.csv")
    assert scores == [["a.wav", "0.5"], ["b.wav", "0.7"], ["c.wav", "0.7"]]
    decisions = read(tmp_path / "decision_result_fan_section_03_test.csv")
    assert [row[1] for row in decisions] == ["0", "1", "0"]


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"called a\.wav"):
        write(tmp_path, 2022, [line("a.wav", 0), line("a.wav", 1)])
