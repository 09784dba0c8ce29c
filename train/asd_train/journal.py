"""What a run tells while it learns: a row a step, a bar, TensorBoard."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from torch import Tensor
from tqdm import tqdm

from asd_agent.errors import RuntimeMissing
from asd_train.run import write_atomic

NAME, EVENTS = "metrics.jsonl", "tensorboard"
Row = dict[str, float]


class Journal:
    """Rows of one run, in order, each step once.

    Parameters
    ----------
    folder : Path, optional
        The run; none: everything is passed over, as where another process writes.
    step : int
        Step that the run stands at: rows past it are of steps that a power cut
        undid, and are taken back.
    total : int, optional
        Steps of the whole run, if they are known.
    every : int
        Steps whose numbers are fetched together: to wait for each leaves a GPU idle.
    tensorboard : bool
        Write events for TensorBoard, too.

    Raises
    ------
    RuntimeMissing
        TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        folder: Path | None,
        step: int,
        total: int | None,
        every: int = 1,
        tensorboard: bool = False,
    ) -> None:
        self._every = every
        self._waiting: list[tuple[int, float, Tensor]] = []
        self._bar = tqdm(total=total, initial=step, unit="step", disable=folder is None)
        self._file: TextIO | None = None
        self._events: Any = None
        if folder is not None:
            if tensorboard:
                self._events = _event_writer(folder / EVENTS, step)
            rewind(folder / NAME, step)
            self._file = (folder / NAME).open("a", encoding="utf-8")

    def note(self, step: int, rate: float, outcome: Tensor) -> None:
        """Take the outcome of a step: loss and part that is right, shape ``(2,)``."""
        if self._file is not None:
            self._waiting.append((step, rate, outcome))
            if len(self._waiting) >= self._every:
                self.flush()

    def flush(self) -> None:
        """Have every row on disk."""
        if self._file is None or not self._waiting:
            return
        values = torch.stack([outcome for _, _, outcome in self._waiting]).tolist()
        for (step, rate, _), (loss, right) in zip(self._waiting, values, strict=True):
            metrics = {"loss": round(loss, 4), "accuracy": round(right, 4)}
            self._file.write(json.dumps({"step": step, "rate": rate} | metrics) + "\n")
            for name, value in metrics.items() if self._events else ():
                self._events.add_scalar(name, value, step)
        self._bar.update(len(values))
        self._bar.set_postfix(metrics)
        self._waiting.clear()
        self._file.flush()

    def settle(self) -> None:
        """Flush, and survive a power cut: before a checkpoint that counts on it."""
        self.flush()
        if self._file is not None:
            os.fsync(self._file.fileno())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()
        if self._events is not None:
            self._events.close()


def rewind(path: Path, step: int) -> None:
    """Take back the rows of steps past this one, and a row that was cut off."""
    if not path.is_file():
        return
    kept = [line for line, row in _rows(path) if row["step"] <= step]
    write_atomic(path, "".join(kept).encode())


def last_metrics(folder: Path) -> Row:
    """Loss and accuracy of the last row; empty if there is none."""
    path = folder / NAME
    rows = [row for _, row in _rows(path)] if path.is_file() else []
    return {key: rows[-1][key] for key in ("loss", "accuracy")} if rows else {}


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield line, json.loads(line)


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import (  # noqa: PLC0415  # optional, and slow
            SummaryWriter,
        )
    except ImportError as error:
        raise RuntimeMissing(
            f"--tensorboard needs tensorboard ({error}): pip install tensorboard"
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)
