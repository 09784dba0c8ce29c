"""Several processes that train one network: who is who, and what they agree on.

``torchrun --nproc-per-node N -m asd_train fit ...`` starts N processes and tells
each its number. Everything that decides when to stop is agreed on after each step,
so no process waits for one that has left.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from asd_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class World:
    """One process among all that train."""

    rank: int = 0
    """Its number, from 0"""
    size: int = 1
    """How many there are"""
    local: int = 0
    """Its number on this computer: that of its GPU"""

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "World":
        """Read what ``torchrun`` says; without it there is one process.

        Raises
        ------
        ConfigError
            The variables contradict each other.
        """
        names = {"rank": "RANK", "size": "WORLD_SIZE", "local": "LOCAL_RANK"}
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
            return cls()
        try:
            world = cls(**{k: int(environment.get(v, "0")) for k, v in names.items()})
        except ValueError as error:
            raise ConfigError(
                f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers: {error}. torchrun "
                "sets them"
            ) from error
        if not 0 <= world.rank < world.size:
            raise ConfigError(
                f"RANK {world.rank} does not lie below WORLD_SIZE {world.size}: start "
                "with torchrun, or unset both"
            )
        return world

    def rows(self, batch: int) -> slice:
        """Part of a batch that this process learns.

        Raises
        ------
        ConfigError
            The batch cannot be split into equal parts of at least two.
        """
        share, rest = divmod(batch, self.size)
        if rest or share < 2:
            raise ConfigError(
                f"training.batch {batch} does not split into {self.size} equal parts "
                "of at least 2: change it, or --nproc-per-node"
            )
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes, element by element; the same bits in each."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def spread(self, task: nn.Module, device: torch.device) -> nn.Module:
        """Let gradients be the mean over all processes.

        On GPUs batch norm takes its statistics over the whole batch. On CPUs torch
        cannot: there each process normalises with its own part, as with a smaller
        batch, and the statistics that are kept are those of the first one.
        """
        if self.size == 1:
            return task
        if device.type == "cpu":
            return DistributedDataParallel(task)
        whole = nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]  # stubs lack it
        return DistributedDataParallel(whole, device_ids=[device.index])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()
"""The only process"""


@contextmanager
def joined(
    device: str, environment: Mapping[str, str] | None = None
) -> Iterator[World]:
    """Join the other processes, if there are any, and leave them at the end.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda`` or ``auto``: GPUs talk over NCCL, processors over Gloo.
    environment : mapping, optional
        Variables of ``torchrun``; none: those of this process.

    Raises
    ------
    ConfigError
        The variables are not those of ``torchrun``, or there are fewer GPUs than
        processes.
    """
    world = World.of(os.environ if environment is None else environment)
    if world.size == 1:
        yield world
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu and world.local >= torch.cuda.device_count():
        raise ConfigError(
            f"process {world.local} finds {torch.cuda.device_count()} GPUs: give "
            "torchrun at most as many processes, or fit --device cpu"
        )
    if on_gpu:
        torch.cuda.set_device(world.local)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo", rank=world.rank, world_size=world.size
    )
    try:
        yield world
    finally:
        dist.destroy_process_group()
