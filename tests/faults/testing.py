"""Faults in the self-test and in learning again; most are in the child process."""

import signal

from faults.plant import NEW, OLD, Plant, overflowing, without_numbers
from faults.table import row


def fault_in_child(plant: Plant, step: str, fault: str) -> None:
    folder = plant.build(NEW, 2)
    if step == "re-learn":
        plant.teach()
    else:
        plant.test_bundles()
    if fault == "hang":
        plant.config = plant.configure(test_timeout_s=1.0)
    plant.wrap(fault)
    plant.install(folder)
    assert plant.reports[-1].step == step


def _children() -> None:
    for step in ("self-test", "re-learn"):
        for fault, says, told in (
            ("exception", "a bug in a library", "rejected crashed"),
            ("SIGKILL", "the child is killed", "rejected crashed"),
            ("hang", "the child is ended", "rejected hung"),
            ("wrong hash", "altered beforehand", "rejected changed"),
            ("disk full", "no room for what is learnt", "rejected disk_full"),
        ):
            if (fault, step) == ("disk full", "self-test"):
                continue  # the child writes nothing

            def act(plant: Plant, step: str = step, fault: str = fault) -> None:
                fault_in_child(plant, step, fault)

            row(fault, step, says, runs=OLD, told=told)(act)


_children()


@row("NaN scores", "self-test", "weights", runs=OLD, told="rejected not_finite")
def _(plant: Plant) -> None:
    plant.test_bundles()
    plant.install(plant.build_with(without_numbers()))


@row("NaN scores", "re-learn", "loud sound", runs=OLD, told="rejected not_finite")
def _(plant: Plant) -> None:
    plant.test_bundles()  # which it passes
    folder = plant.build_with(overflowing())
    plant.teach()
    plant.install(folder)
    assert plant.reports[-1].step == "re-learn"


@row("SIGKILL", "self-test", "the agent, once", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = str(plant.build(NEW, 2))
    assert plant.live("install", folder=folder, kill_at="self-test") == -signal.SIGKILL
    assert plant.live("install", folder=folder) == 0


@row("SIGKILL", "self-test", "the agent, each time", runs=OLD, told="rejected crashed")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    for _ in range(3):
        ended = plant.live("install", folder=str(folder), kill_at="self-test")
        assert ended == -signal.SIGKILL
    plant.install(folder)


@row("SIGKILL", "re-learn", "the agent, once", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    plant.teach()
    folder = str(plant.device.build(NEW, 2, members=2, embeds=False))
    assert plant.live("install", folder=folder, kill_at="re-learn") == -signal.SIGKILL
    assert plant.live("install", folder=folder) == 0


@row("disk full", "self-test", "for the count", runs=OLD, told="rejected disk_full")
def _(plant: Plant) -> None:
    """Without it a bundle that ends the agent would be tested for ever."""
    make_room = plant.fill("tries.json")
    plant.install(plant.build(NEW, 2))
    make_room()
