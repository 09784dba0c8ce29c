"""The command line of the agent: a thin door to the rest."""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from asd_agent import __version__, bundle_cli
from asd_agent.doctor import verb as doctor_verb
from asd_agent.errors import AsdError, ConfigError

EXIT_CODES = """\
exit codes:
  0  done                      4  the bundle is broken or altered
  1  a fault in the software   5  learnt sound or state folder not usable
  2  wrong configuration       6  a part of the software is not installed
  3  no usable sound           130  interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    use_one_thread()
    args = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except AsdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output, such as `head`, has gone
        # What is still held back goes nowhere; else Python would end with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def use_one_thread() -> None:
    """Keep numpy's matrix products to one thread; call it before numpy is imported.

    They are too small to gain from more, and the others of OpenBLAS wait by
    spinning: a core of the device would be spent on nothing.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="asd-agent",
        description="Listen to machines and tell over MQTT when one sounds wrong.",
        epilog="example:\n  asd-agent --config /etc/asd.yaml\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    parser.add_argument("--config", type=Path, help="configuration; runs the agent")
    parser.set_defaults(command=_run)
    verbs = parser.add_subparsers(title="other commands", metavar="COMMAND")
    _add_check(verbs)
    _add_learn(verbs)
    _add_replay(verbs)
    _add_devices(verbs)
    _add_coverage(verbs)
    doctor_verb.add(verbs, _verb)
    bundle_cli.add(verbs, _verb)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ConfigError.exit_code, f"{self.prog}: {message}\n")


if (
    TYPE_CHECKING
):  # argparse names the type nowhere else, and at run time not as generic
    Verbs = argparse._SubParsersAction[_Parser]


def _verb(
    verbs: "Verbs",
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="configuration file")


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", help="name of the source, if there are several")


def _add_check(verbs: "Verbs") -> None:
    parser = _verb(
        verbs,
        "check",
        _check,
        "check a configuration and all that it names, without listening",
        "asd-agent check --config /etc/asd.yaml",
    )
    _add_config(parser)


def _add_learn(verbs: "Verbs") -> None:
    parser = _verb(
        verbs,
        "learn",
        _learn,
        "learn what a machine sounds like when it is well",
        "asd-agent learn --config /etc/asd.yaml --minutes 15\n"
        "  asd-agent learn --config /etc/asd.yaml --from normal/ more.flac",
    )
    _add_config(parser)
    _add_source(parser)
    sound = parser.add_mutually_exclusive_group(required=True)
    sound.add_argument(
        "--from",
        dest="paths",
        nargs="+",
        metavar="PATH",
        help="recordings: files, folders or patterns, each heard on its own",
    )
    sound.add_argument(
        "--minutes", type=_positive, help="listen to the source for so long"
    )


def _add_replay(verbs: "Verbs") -> None:
    parser = _verb(
        verbs,
        "replay",
        _replay,
        "score recordings as the running agent would; print JSON lines",
        "asd-agent replay --config /etc/asd.yaml monday/*.flac\n"
        "  asd-agent replay --config /etc/asd.yaml --per-file monday/",
    )
    _add_config(parser)
    _add_source(parser)
    parser.add_argument(
        "--per-file",
        action="store_true",
        help="one line a file, each heard on its own; else a line for every decision "
        "and the files are one tape",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="files, folders or patterns"
    )


def _add_devices(verbs: "Verbs") -> None:
    _verb(
        verbs,
        "devices",
        _devices,
        "list the capture devices that can be opened",
        "asd-agent devices",
    )


def _add_coverage(verbs: "Verbs") -> None:
    parser = _verb(
        verbs,
        "coverage",
        _coverage,
        "show how much of the last days each source was listened to, and why not",
        "asd-agent coverage --config /etc/asd.yaml --days 30",
    )
    _add_config(parser)
    parser.add_argument("--source", help="only this source")
    parser.add_argument("--days", type=_days, default=7, help="how many; 7 if not said")
    parser.add_argument("--json", action="store_true", help="print JSON lines, seconds")


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 400:
        raise argparse.ArgumentTypeError(f"{text} is not 1 to 400")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _run(args: argparse.Namespace) -> int:
    if args.config is None:
        raise ConfigError("asd-agent: say --config FILE, or --help for the commands")
    from asd_agent.config_file import load
    from asd_agent.service import Service

    service = Service(load(args.config))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    return 0


def _check(args: argparse.Namespace) -> int:
    from asd_agent.check import check
    from asd_agent.config_file import load

    for line in check(load(args.config)):
        print(line)
    return 0


def _learn(args: argparse.Namespace) -> int:
    from asd_agent.config_file import load
    from asd_agent.setup import choose_source
    from asd_agent.teach import teach

    config = load(args.config)
    source = choose_source(config, args.source)
    print(teach(config, source, args.paths, args.minutes, sys.stderr))
    return 0


def _replay(args: argparse.Namespace) -> int:
    from asd_agent.config_file import load
    from asd_agent.replay import replay
    from asd_agent.setup import choose_source

    config = load(args.config)
    source = choose_source(config, args.source)
    refused = 0
    records = replay(
        config, source, args.paths, per_file=args.per_file, screen=sys.stderr
    )
    for record in records:
        if isinstance(record, AsdError):
            print(record, file=sys.stderr)
            refused = record.exit_code
        else:
            print(json.dumps(record, allow_nan=False), flush=True)
    return refused


def _coverage(args: argparse.Namespace) -> int:
    from asd_agent.config_file import load
    from asd_agent.coverage_table import days_of, records, table
    from asd_agent.ledger import FOLDER, Ledger
    from asd_agent.setup import choose_source

    config = load(args.config)
    if args.source is not None:
        choose_source(config, args.source)
    ledger = Ledger(config.state_dir / FOLDER, days=args.days)
    days = days_of(ledger, args.source, args.days)
    if not args.json:
        print(table(days))
        return 0
    for record in records(days):
        print(json.dumps(record))
    return 0


def _devices(args: argparse.Namespace) -> int:
    from asd_agent.capture.devices import listing

    print(listing())
    return 0
