"""Test that this device computes what the builder of a bundle computed.

``python -m asd_agent.bundle.selftest FOLDER`` answers in JSON. The agent asks it
through `prove`, in a child with limits: a bundle that crashes a library, loops or
takes all memory is found out before anything listens with it.
"""

import argparse
import dataclasses
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from asd_agent import child
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import Golden
from asd_agent.bundle.member import Way, proven_members, ways
from asd_agent.bundle.proof import Proof, Row
from asd_agent.errors import BundleError
from asd_agent.inference.open import RuntimeChoice


def prove(
    folder: Path,
    runtime: RuntimeChoice = "auto",
    timeout_s: float = 300.0,
    memory_bytes: int = 2_147_483_648,
    stop: Event | None = None,
) -> Proof:
    """Test in a child that this device can run a bundle as it would.

    Parameters
    ----------
    folder
        A bundle whose signature and hashes have been checked.
    runtime
        What the device is told.
    timeout_s
        Seconds that the test may take.
    memory_bytes
        Address space that it may take.
    stop
        Ends it early when set.

    Returns
    -------
    Proof
        All of it is well.

    Raises
    ------
    BundleError
        The numbers differ (``differs``), are none (``not_finite``), no runtime is
        installed (``no_runtime``), or the child failed as `child.run` says.
    """
    arguments = [str(folder), "--runtime", runtime]
    proof = _ask(arguments, timeout_s, memory_bytes, stop)
    proof.require()
    return proof


def verify(
    folder: Path,
    runtime: RuntimeChoice = "auto",
    timeout_s: float = 300.0,
    memory_bytes: int = 2_147_483_648,
) -> Proof:
    """Test every model file that can run here, in a child.

    Returns
    -------
    Proof
        With rows that differ, if some do: `Proof.lines` shows them.

    Raises
    ------
    BundleError
        As `prove`, but not for numbers that differ.
    """
    arguments = [str(folder), "--runtime", runtime, "--all"]
    return _ask(arguments, timeout_s, memory_bytes, None)


def examine(bundle: Bundle, runtime: RuntimeChoice, *, every: bool) -> Proof:
    """Test in this process the members that would run, or every model file."""
    if not every:
        proofs = [proof for _, proof in proven_members(bundle, runtime)]
        return Proof(tuple(row for proof in proofs for row in proof.rows))
    golden = Golden.open(bundle)
    rows: list[Row] = []
    for spec in bundle.manifest.members:
        for way in ways(bundle, spec, runtime):
            rows += _rows(golden, way)
    return Proof(tuple(rows))


def _rows(golden: Golden, way: Way) -> tuple[Row, ...]:
    try:
        member = way.open()
    except BundleError as error:
        name, file, library = way.spec.name, way.file, way.library
        return (Row(name, file, library, "loads", math.nan, 0.0, str(error)),)
    return golden.check(member).rows


def _ask(
    arguments: Sequence[str], timeout_s: float, memory_bytes: int, stop: Event | None
) -> Proof:
    found = child.run(
        "asd_agent.bundle.selftest",
        arguments,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
        stop=stop,
    )
    try:
        return TypeAdapter(Proof).validate_python(found)
    except ValidationError as error:
        raise BundleError(f"the self-test gives no answer: {error}", "error") from error


def main(argv: Sequence[str] | None = None) -> None:
    """Test a bundle and write what was found."""
    parser = argparse.ArgumentParser(prog="asd_agent.bundle.selftest")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runtime", choices=get_args(RuntimeChoice), default="auto")
    parser.add_argument("--memory-bytes", type=int, help="address space; default: all")
    parser.add_argument("--all", action="store_true", help="test every model file")
    args = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    if args.memory_bytes:
        child.begin(args.memory_bytes)
    proof = examine(Bundle.open(args.folder), args.runtime, every=args.all)
    child.answer(dataclasses.asdict(proof))


if __name__ == "__main__":
    sys.exit(child.tell(main))
