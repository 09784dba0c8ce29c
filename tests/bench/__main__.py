"""Measure speed, cost, memory and start on this machine: ``python -m bench``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from asd_agent.cli import use_one_thread

use_one_thread()  # as the agent does, and like it before numpy is imported

from asd_agent.bundle.bundle import DEFAULT_BUNDLE  # noqa: E402
from asd_agent.inference.open import RuntimeChoice  # noqa: E402
from bench.machine import describe  # noqa: E402

RUNTIMES: tuple[RuntimeChoice, ...] = ("onnx", "tflite")


def main(argv: Sequence[str] | None = None) -> int:
    """Print one section for each part asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--rounds", type=int, default=13, help="of speed")
    parser.add_argument("--seconds", type=float, default=120.0, help="of sound in cost")
    parser.add_argument("--starts", type=int, default=5, help="of footprint")
    args = parser.parse_args(argv)
    for part in args.parts:
        if part not in PARTS:
            parser.error(f"{part}: there are {', '.join(PARTS)}")
    print(describe())
    for part in args.parts or PARTS:
        print(f"\n## {part}\n\n{PARTS[part](args)}", flush=True)
    return 0


def _speed(args: argparse.Namespace) -> str:
    # Here, so that the other parts run without torch, which takes much memory.
    from bench.speed import speed

    return speed(args.rounds)


def _cost(args: argparse.Namespace) -> str:
    from bench.cost import cost

    return "\n\n".join(cost(args.bundle, name, args.seconds) for name in RUNTIMES)


def _footprint(args: argparse.Namespace) -> str:
    from bench.footprint import HEAD, footprint

    rows = [footprint(args.bundle, name, args.starts) for name in RUNTIMES]
    return "\n".join([HEAD, *rows])


def _sources(args: argparse.Namespace) -> str:
    from bench.sources import sources

    return sources(args.bundle)


PARTS: dict[str, Callable[[argparse.Namespace], str]] = {
    "cost": _cost,
    "footprint": _footprint,
    "sources": _sources,
    "speed": _speed,
}

if __name__ == "__main__":
    sys.exit(main())
