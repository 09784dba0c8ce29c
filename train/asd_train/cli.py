"""The command line of the trainer."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from asd_agent.errors import AsdError, RuntimeMissing

_SIMULATE_EXAMPLE = """example:
  asd-train simulate /tmp/sim --machines fan,pump --sections 3 --clips-train 20 \\
      --clips-test 10

Machines are simulated from physical parts: shafts, gears, bearings, blades,
valves, casing, room, microphone. The clips are named as those of DCASE Task 2
are (2021 and later): source and target domain differ in speed and load, test
clips with `anomaly` have a fault of the severity in their name. Simulated sound
shows that the software works, not how well it finds faults of real machines.
"""
_FIT_EXAMPLE = """example:
  asd-train simulate /tmp/sim --machines fan,pump --sections 2 --clips-train 10 \\
      --clips-test 4 --seconds 4
  asd-train fit smoke --data /tmp/sim -o /tmp/run --steps 60
  asd-export build /tmp/run -o /tmp/bundle --files onnx-float32

DIR holds <machine>/train/*.wav or *.flac, named as DCASE does, and may hold
<machine>/test. After Ctrl-C the same command with --resume goes on.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except AsdError as error:
        print(f"asd-train: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("asd-train: stopped", file=sys.stderr)
        return 130


def _simulate(arguments: argparse.Namespace) -> int:
    from asd_train.data.simulator.files import (  # numpy is slow to load
        Order,
        prepare_folder,
        simulate,
    )

    progress = _tqdm()
    order = Order(
        machines=tuple(arguments.machines.split(",")),
        sections=arguments.sections,
        clips_train=arguments.clips_train,
        clips_test=arguments.clips_test,
        seconds=arguments.seconds,
        seed=arguments.seed,
    )
    order.check()
    prepare_folder(arguments.out, arguments.overwrite)
    with progress(total=order.clips, unit="clip") as bar:
        for written in simulate(order, arguments.out, arguments.jobs):
            bar.update(written)
    print(f"{order.clips} clips in {arguments.out}")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    _need_torch()
    from asd_train.fit import Budget, fit  # torch is slow to load
    from asd_train.recipe import load  # needs torch

    folder: Path = arguments.out
    saved = folder / "recipe.yaml"
    name = str(saved) if arguments.resume and saved.is_file() else arguments.recipe
    recipe = load(name)
    if arguments.machines:
        machines = tuple(arguments.machines.split(","))
        recipe = recipe.model_copy(update={"machines": machines})
    if arguments.seed is not None:
        training = recipe.training.model_copy(update={"seed": arguments.seed})
        recipe = recipe.model_copy(update={"training": training})
    steps = arguments.steps
    if steps is None and arguments.minutes is None:
        steps = recipe.training.steps
    with _stop_signal() as stopped:
        run = fit(
            recipe,
            arguments.data,
            folder,
            Budget(steps, arguments.minutes),
            device=arguments.device,
            resume=arguments.resume,
            stopped=stopped,
        )
    metrics = ", ".join(f"{k} {v}" for k, v in run.info.metrics.items())
    print(f"{run.path}: {run.info.steps} steps, {metrics}")
    print(f"next: asd-export build {run.path} -o BUNDLE")
    return 0


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question to be asked between steps."""
    asked: list[int] = []
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _recipes(arguments: argparse.Namespace) -> int:
    _need_torch()
    from asd_train.recipe import dump, load, packaged  # needs torch

    if arguments.name:
        print(dump(load(arguments.name)), end="")
        return 0
    for name in packaged():
        print(f"{name:12} {load(name).summary}")
    return 0


def _need_torch() -> None:
    try:
        import torch  # noqa: F401  # only to see whether it is there
    except ImportError as error:
        raise RuntimeMissing(
            f"the trainer needs torch ({error}): pip install 'asd[train]'"
        ) from error


def _tqdm() -> type:
    try:
        from tqdm import tqdm  # of the train extra
    except ImportError as error:
        raise RuntimeMissing(
            f"the simulator needs tqdm ({error}): pip install 'asd[train]'"
        ) from error
    return tqdm


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asd-train",
        description="Train networks that turn machine sound into embeddings.",
        epilog="The guide is docs/training.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_simulate(commands)
    _add_fit(commands)
    recipes = _command(
        commands,
        "recipes",
        "list the packaged recipes, or print one",
        "example:\n  asd-train recipes default > mine.yaml\n",
    )
    recipes.add_argument("name", nargs="?", help="recipe to print, defaults included")
    recipes.set_defaults(run=_recipes)
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: _Commands, name: str, text: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_simulate(commands: _Commands) -> None:
    text = "write recordings of simulated machines"
    parser = _command(commands, "simulate", text, _SIMULATE_EXAMPLE)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--machines",
        default="fan,pump,gearbox,valve,slider",
        help="machine types (%(default)s)",
    )
    for flag, number, what in (
        ("--sections", 6, "individuals of each type"),
        ("--clips-train", 100, "normal clips to train on, of each individual"),
        ("--clips-test", 50, "clips to test on, of each individual, half faulty"),
    ):
        parser.add_argument(
            flag, type=_count, default=number, metavar="N", help=f"{what} (%(default)s)"
        )
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=10.0,
        metavar="S",
        help="length of a clip (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed, the same bytes (1)"
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; makes no difference to the clips (%(default)s)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that has files"
    )
    parser.set_defaults(run=_simulate)


def _add_fit(commands: _Commands) -> None:
    parser = _command(commands, "fit", "train a network", _FIT_EXAMPLE)
    parser.add_argument(
        "recipe", metavar="RECIPE", help="packaged recipe, or a file ending in .yaml"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of recordings"
    )
    parser.add_argument(
        "-o", dest="out", metavar="RUN", type=Path, required=True, help="run to write"
    )
    parser.add_argument(
        "--machines", metavar="A,B", help="train on these types alone (the recipe's)"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to train (%(default)s: a GPU if there is one)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=_count, metavar="N", help="batches (the recipe's)"
    )
    length.add_argument(
        "--minutes", type=_positive, metavar="N", help="minutes, instead of steps"
    )
    parser.add_argument("--seed", type=int, help="seed (the recipe's)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from RUN's checkpoint"
    )
    parser.set_defaults(run=_fit)
