"""install.sh: what it refuses, and that nothing is changed then."""

import subprocess
from pathlib import Path

import pytest

from support.installed import SCRIPT, Machine, fake_wheel

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def first(wheels: Path) -> Path:
    return fake_wheel(wheels, "1.0")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine without the agent, and it stays so."""
    return Machine.make(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def bare(untouched: Machine, tmp_path: Path) -> Machine:
    """A machine without the agent, for one test."""
    return untouched.copy(tmp_path / "machine")


@pytest.mark.parametrize("place", ["opt/asd", "commands/asd-agent"])
def test_what_others_made_is_left_alone(
    bare: Machine, place: str, wheels: Path, first: Path
) -> None:
    theirs = bare.folder / place
    theirs.write_text("#!/bin/sh\n")
    done = bare.install("--wheel", first, "--packages", wheels)
    assert done.returncode == 2
    assert "was not made by this script" in done.stderr
    bare.install("--uninstall")
    assert theirs.read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("32 3 11", "has 32 bits: install the 64-bit system"),
        ("64 3 9", "is Python 3.9: 3.10 or later is needed"),
        ("64 4 0", "is Python 4.0: 3.10 or later is needed"),
    ],
)
def test_a_python_that_will_not_do_is_refused(
    untouched: Machine, tmp_path: Path, first: Path, answer: str, said: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {answer}\n")
    python.chmod(0o755)
    done = untouched.run(SCRIPT, "--python", python, "--wheel", first)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (untouched.folder / "opt/asd-versions").exists()


def test_the_system_is_asked_for_what_it_lacks(
    bare: Machine, tmp_path: Path, first: Path
) -> None:
    python = bare.folder / "stubs/python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = bare.run(SCRIPT, "--wheel", first)
    assert done.returncode == 2
    assert "apt-get could not install python3-venv: see above" in done.stderr
    assert bare.calls() == ["apt-get -qq update"]


def test_two_at_a_time_are_one_too_many(bare: Machine, first: Path) -> None:
    lock = bare.folder / "run/asd-install.lock"
    done = bare.run("flock", lock, SCRIPT, "--wheel", first)
    assert done.returncode == 2
    assert "another install.sh is at work" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--whel", "x"], "--whel: no such option; see --help"),
        (["--wheel"], "--wheel needs a value"),
        (["--wheel", "/nowhere.whl"], "--wheel /nowhere.whl: there is no such file"),
        (["--packages", "/nowhere"], "--packages /nowhere: is no folder"),
        (["--device-files", "/nowhere"], "--device-files /nowhere: is no folder"),
        (["--purge"], "--purge goes with --uninstall"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    untouched: Machine, words: list[str], said: str
) -> None:
    done = untouched.install(*words)
    assert done.returncode == 2
    assert done.stderr == f"install.sh: {said}\n"
    assert not (untouched.folder / "opt/asd-versions").exists()


def test_anybody_but_root_is_told_so() -> None:
    done = subprocess.run(
        [SCRIPT], user=65534, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "install.sh: needs root: sudo install.sh ...\n"
