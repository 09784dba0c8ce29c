"""Every fault of a microphone, on the real path from a sound server to a broker."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.microphone import DETECT_S, FAULTY, RECOVER_S, Bench, bench
from support.broker import wait_for
from support.faulty_microphone import FAULTS, Fault

pytestmark = [pytest.mark.microphone, pytest.mark.broker]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("microphone")) as running:
        yield running


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_soon_and_got_over(plant: Bench, fault: Fault) -> None:
    seen = plant.suffer(fault, 6.0)
    assert seen.good, seen
    words = seen.told.split()
    assert words[0].strip("`") in FAULTY
    assert words[1] in fault.reasons | {"dropout", "gap"}


def capturing(agent: int) -> list[int]:
    """Processes of an agent that capture."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has just ended
        if b"asd_agent.capture.process" in words and parent == agent:
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_of_several_microphones_can_fail_alone(
    tmp_path: Path, number: signal.Signals
) -> None:
    names = ("left", "right")
    with bench(tmp_path, names) as plant:
        for name in names:
            plant.wait_well(name)
        before = capturing(plant.pid)
        assert len(before) == 2
        told = plant.told()
        os.kill(before[0], number)
        wait_for(
            lambda: any(m["state"] == "fault" for m in plant.told()[len(told) :]),
            "a fault",
            DETECT_S,
        )
        wait_for(lambda: len(capturing(plant.pid)) == 2, "another process", RECOVER_S)
        for name in names:
            plant.wait_well(name)
        hurt = {m["source"] for m in plant.told()[len(told) :] if m["state"] in FAULTY}
        assert len(hurt) == 1
        assert before[0] not in capturing(plant.pid)
        assert before[1] in capturing(plant.pid)
