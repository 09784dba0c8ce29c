"""The command line of the exporter: ``asd-export build`` and ``inspect``."""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from asd_agent.errors import AsdError, ConfigError, RuntimeMissing
from asd_export.describe import describe
from asd_export.files import FILES

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
BUILD_EXAMPLE = """\
example:
  asd-export build runs/default -o bundles/default --id default --version 2
"""
INSPECT_EXAMPLE = """\
example:
  asd-export inspect bundles/default
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="asd-export: %(message)s")
    try:
        if arguments.command == "build":
            _build(arguments)
        else:
            print(describe(arguments.bundle))
    except AsdError as error:
        print(f"asd-export: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("asd-export: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


def _build(arguments: argparse.Namespace) -> None:
    identity = arguments.id or _identity(arguments.run)
    try:
        # Here, so that inspect works where torch is not installed.
        from asd_export import build, parity, source  # see above
    except ImportError as error:
        raise RuntimeMissing(f"{error}; pip install 'asd[export]'") from error
    build.require_absent(arguments.output)
    order = build.Order(
        id=identity,
        version=arguments.version,
        created=datetime.now(timezone.utc),
        files=arguments.files,
    )
    built = build.build(source.from_run(arguments.run, arguments.licence), order, _say)
    print(parity.table(built.parity))
    build.write(built, arguments.output)
    _say(f"wrote {arguments.output}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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


def _version(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _files(text: str) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip() for name in text.split(","))
    for name in names:
        if name not in FILES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FILES)}")
    return tuple(names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asd-export", description="Turn a trained run into a bundle for devices."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_build(
        commands.add_parser(
            "build",
            help="convert, quantise, measure and write a bundle",
            description="Convert a run to ONNX and .tflite, quantise to int8, compare "
            "each file with the trained network, and write a bundle if all is well.",
            epilog=BUILD_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    inspect = commands.add_parser(
        "inspect",
        help="verify a bundle and say what it holds",
        description="Check every hash of a bundle and describe it.",
        epilog=INSPECT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder")
    return parser


def _add_build(build: argparse.ArgumentParser) -> None:
    build.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    build.add_argument(
        "-o", "--output", type=Path, required=True, metavar="BUNDLE", help="new folder"
    )
    build.add_argument("--id", type=_id, help="default: the name of RUN")
    build.add_argument(
        "--version", type=_version, default=1, metavar="N", help="default: %(default)s"
    )
    build.add_argument(
        "--files",
        type=_files,
        default=tuple(FILES),
        metavar="NAMES",
        help=f"model files, comma between; default: {','.join(FILES)}",
    )
    build.add_argument(
        "--licence", help="licence of the weights; default: what the run says"
    )
