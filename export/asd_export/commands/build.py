"""The command ``build``: convert, quantise, measure and write a bundle."""

import argparse
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import get_args

from asd_agent.errors import ConfigError
from asd_agent.inference.open import RuntimeChoice
from asd_export.commands.common import Commands, command, need, say, whole
from asd_export.files import FILES
from asd_export.order import Choice, Order, Tuning

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

CLASS_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "build",
        "convert, quantise, measure and write a bundle",
        "Convert a run to ONNX and .tflite, quantise to int8, compare each file with "
        "the trained network, and write a bundle if all is well.",
        "asd-export build runs/default -o bundles/default --id default --version 2",
    )
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="folder of a training run"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="BUNDLE", help="new folder"
    )
    parser.add_argument("--id", type=_id, help="default: the name of RUN")
    parser.add_argument(
        "--version", type=whole, default=1, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--files",
        type=_files,
        default=tuple(FILES),
        metavar="NAMES",
        help=f"model files, comma between; default: {','.join(FILES)}",
    )
    parser.add_argument(
        "--licence", help="licence of the weights; default: what the run says"
    )
    parser.add_argument(
        "--calibration",
        choices=get_args(Choice),
        default="best",
        help="how the ranges of int8 are set; best, the default: each way is tried and "
        "the one kept that holds the scores best",
    )
    parser.add_argument(
        "--qat",
        nargs="?",
        type=whole,
        const=0,
        metavar="STEPS",
        help="fine-tune for int8 where a file loses too much, so many batches "
        f"(default: {Tuning().steps}); a file that passes is left alone",
    )
    parser.add_argument(
        "--qat-always", action="store_true", help="with --qat: whatever int8 loses"
    )
    parser.add_argument(
        "--runtime",
        choices=get_args(RuntimeChoice),
        default="auto",
        help="whose files devices prefer; default: %(default)s, ONNX Runtime's",
    )
    parser.add_argument(
        "--device-class",
        type=_device_class,
        default="any",
        metavar="CLASS",
        help="kind of device that it is for; default: %(default)s",
    )
    parser.set_defaults(run=_build, stopped="interrupted, nothing was written")


def _build(arguments: argparse.Namespace) -> int:
    identity = arguments.id or _identity(arguments.run_folder)
    order = Order(
        id=identity,
        version=arguments.version,
        created=datetime.now(timezone.utc),
        files=arguments.files,
        calibration=arguments.calibration,
        tuning=tuning_of(arguments),
        runtime=arguments.runtime,
        device_class=arguments.device_class,
    )
    need("torch", "tqdm")
    from asd_export import build, parity, source  # torch is slow to load

    build.require_absent(arguments.output)
    trained = source.from_run(arguments.run_folder, arguments.licence)
    built = build.build(trained, order, say)
    print(parity.table(built.tried))
    for row in built.parity:
        print(f"taken: {row.model.file} {row.method}".rstrip())
    build.write(built, arguments.output)
    say(f"wrote {arguments.output}")
    return 0


def tuning_of(arguments: argparse.Namespace) -> Tuning | None:
    """Fine-tuning that the command line asks for.

    Raises
    ------
    ConfigError
        It says when but not that.
    """
    if arguments.qat is None:
        if arguments.qat_always:
            raise ConfigError("--qat-always says when to fine-tune: give --qat, too")
        return None
    return Tuning(arguments.qat or Tuning().steps, arguments.qat_always)


def _identity(run: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", run.resolve().name.lower()).strip("-._")
    if not ID_PATTERN.fullmatch(name):
        raise ConfigError(f"no id can be made of the folder name {run}; give --id")
    return name


def _id(text: str) -> str:
    if not ID_PATTERN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: lower-case letters, digits, '.', '_' and '-', at most 64"
        )
    return text


def _device_class(text: str) -> str:
    if not CLASS_PATTERN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: lower-case letters, digits, '_' and '-', at most 32"
        )
    return text


def _files(text: str) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip() for name in text.split(","))
    for name in names:
        if name not in FILES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FILES)}")
    return tuple(names)
