"""The command ``analyse``: which layers lose the most in int8."""

import argparse
from pathlib import Path
from typing import get_args

from asd_agent.inference.embedder import RuntimeName
from asd_export.commands.common import Commands, command, need, say
from asd_export.order import Choice

KINDS = (".svg", ".png", ".csv")
WAYS = tuple(choice for choice in get_args(Choice) if choice != "best")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "analyse",
        "say which layers of a run lose the most in int8",
        "Round each layer of a network alone as its int8 file does, and print what "
        "that does to embeddings and scores, the worst first.",
        "asd-export analyse runs/default -o layers.svg",
    )
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="folder of a training run"
    )
    parser.add_argument(
        "--runtime",
        choices=get_args(RuntimeName),
        default="onnx",
        help="whose int8: weights have seven bits in onnx, eight in tflite; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--calibration",
        choices=WAYS,
        default="minmax",
        help="how the ranges are set; default: %(default)s",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=_output,
        metavar="FILE",
        help=f"also write a plot or a table: {', '.join(KINDS)}",
    )
    parser.set_defaults(run=_analyse, stopped="interrupted, nothing was written")


def _analyse(arguments: argparse.Namespace) -> int:
    need("torch", "tqdm", "matplotlib")
    from asd_export import chart, sensitivity, source  # torch is slow to load
    from asd_export.calibrate import ways
    from asd_export.parity import Reference

    trained = source.from_run(arguments.run_folder)
    say("embedding calibration and held-out sound with the trained network")
    reference = Reference.of(
        trained.network, trained.calibration, trained.held_out, trained.poolings
    )
    way = ways(arguments.calibration)[0]
    say(f"measuring every layer, ranges by {way.name}")
    found = sensitivity.layers(trained.network, reference, arguments.runtime, way)
    print(sensitivity.table(found))
    if arguments.output:
        title = f"{arguments.run_folder.name}, int8 as {arguments.runtime}, {way.name}"
        chart.write(found, arguments.output, title)
        say(f"wrote {arguments.output}")
    return 0


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix not in KINDS:
        raise argparse.ArgumentTypeError(f"{text!r} ends in none of {', '.join(KINDS)}")
    return path
