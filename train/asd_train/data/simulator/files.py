"""Writes simulated machines as a folder of recordings named as DCASE does."""

import csv
import wave
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from asd_agent.errors import ConfigError
from asd_train.data.simulator.machine import Machine
from asd_train.data.simulator.plan import Order, Take, takes
from asd_train.data.simulator.signal import Signal

__all__ = ["Order", "prepare_folder", "simulate", "write_section", "write_wave"]


def write_wave(path: Path, samples: Signal, rate_hz: int) -> None:
    """Write 16-bit mono; full scale is 1."""
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(whole.tobytes())


def write_section(order: Order, root: Path, kind: str, section: int) -> int:
    """Write all clips of one individual; returns how many."""
    machine = Machine.draw(kind, order.seed * 1000 + section)
    clips = takes(order, kind, section)
    for index, clip in enumerate(clips):
        sound = machine.render(
            order.seconds,
            order.rate_hz,
            clip.point,
            fault=clip.fault,
            severity=clip.severity,
            seed=(order.seed * 1000 + section) * 100_000 + index,
        )
        folder = root / kind / clip.folder
        folder.mkdir(parents=True, exist_ok=True)
        write_wave(folder / clip.name(section), sound, order.rate_hz)
    if order.layout == "2021":
        _write_truth(root / kind / f"truth_section_{section:02}.csv", clips, section)
    return len(clips)


def _write_truth(path: Path, clips: Iterable[Take], section: int) -> None:
    """Write what the names of layout 2021 hide: the condition and the fault."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file", "condition", "fault", "severity"))
        for clip in clips:
            name = f"{clip.folder}/{clip.name(section)}"
            grade = f"{clip.severity:.2f}"
            rows.writerow((name, clip.point.attributes, clip.fault or "", grade))


def simulate(order: Order, root: Path, jobs: int = 1) -> Iterator[int]:
    """Write the whole order.

    Parameters
    ----------
    order : Order
    root : Path
        Folder; made if it is not there.
    jobs : int
        Processes that work side by side; the files are the same for any number.

    Yields
    ------
    int
        Clips written since the last one.

    Raises
    ------
    ConfigError
        A machine type is unknown, or the counts do not suit the layout.
    """
    order.check()
    sections = [(k, s) for k in order.machines for s in range(order.sections)]
    if jobs == 1:
        for kind, section in sections:
            yield write_section(order, root, kind, section)
        return
    # Spawned, not forked: a fork of a process with threads may never return.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        work = [pool.submit(write_section, order, root, *item) for item in sections]
        for done in work:
            yield done.result()


def prepare_folder(root: Path, overwrite: bool) -> None:
    """Make the folder, or see that it may be written to.

    Raises
    ------
    ConfigError
        It holds something and `overwrite` was not said.
    """
    if root.is_dir() and any(root.iterdir()) and not overwrite:
        raise ConfigError(
            f"{root} is not empty. Give another folder, or --overwrite to write "
            "over clips of the same names"
        )
    root.mkdir(parents=True, exist_ok=True)
