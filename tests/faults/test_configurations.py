"""No configuration that cannot be ends in anything but a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from asd_agent.config import Config
from asd_agent.config_file import MAX_PROBLEMS
from asd_agent.config_words import models
from faults.configurations import Case, answer, cases

CASES = {case.name: case for case in cases()}
REAL = (
    "mqtt: {host: b, port: 70000}",
    "nothing",
    "a pipe",
    "an endless device",
    "30,000 mistakes",
)
"""Also as processes of their own"""


def test_there_are_enough() -> None:
    assert len(CASES) == len(list(cases())) >= 60


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name[:60])
def test_a_bad_configuration_is_told(case: Case, tmp_path: Path) -> None:
    found, file = answer(case, tmp_path)
    assert not found.wrong(case, file), found.text


@pytest.mark.parametrize("name", REAL)
def test_the_program_ends_so_too(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    done = subprocess.run(
        [sys.executable, "-m", "asd_agent", "check", "--config", case.make(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= MAX_PROBLEMS + 1


def test_every_key_is_in_the_table() -> None:
    texts = " ".join(CASES)
    for name, field in Config.model_fields.items():
        assert f"{name}:" in texts
        for model in models(field.annotation):
            for key, inner in model.model_fields.items():
                assert f"{inner.alias or key}:" in texts, f"{name}.{key}"
                for deeper in models(inner.annotation):
                    if not {"k", "n"} & set(deeper.model_fields):
                        for last in deeper.model_fields:
                            assert f"{last}:" in texts, f"{name}.{key}.{last}"


def test_the_table_sees_a_wrong_answer(tmp_path: Path) -> None:
    case = CASES["nothing"]
    found, file = answer(case, tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "file").touch()
    assert "leaves" in answer(case, tmp_path)[0].wrong(case, file)
    other = Case("other", case.make, ("something else",))
    assert "does not say" in found.wrong(other, file)
    assert "exit" in found.wrong(Case("other", case.make, (), exit=3), file)
