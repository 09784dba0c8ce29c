"""The command ``report``: one page from an evaluation."""

import argparse
from pathlib import Path

from asd_train.commands.common import Commands, command, count, need

_EXAMPLE = """example:
  asd-train evaluate /tmp/run --data /tmp/sim
  asd-train report /tmp/run --data /tmp/sim

The page needs nothing beside itself: no network, no scripts. It is written as
report.html into the evaluation's folder unless -o says otherwise.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "report", "write a page that shows an evaluation", _EXAMPLE
    )
    parser.add_argument(
        "path",
        metavar="RUN|OUT",
        type=Path,
        help="run that was evaluated, or the folder of its evaluation",
    )
    parser.add_argument(
        "-o", dest="out", metavar="FILE", type=Path, help="page to write"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="folder of recordings, to show spectrograms of the most anomalous clips",
    )
    parser.add_argument(
        "--run",
        dest="made_of",
        metavar="RUN",
        type=Path,
        help="run or bundle, where the evaluation does not lie in it",
    )
    parser.add_argument(
        "--clips",
        type=count,
        default=6,
        metavar="N",
        help="most anomalous clips to show (%(default)s)",
    )
    maps = parser.add_mutually_exclusive_group()
    maps.add_argument(
        "--map",
        dest="maps",
        action="append",
        metavar="MACHINE[/SECTION]",
        help="map the embeddings of this alone; may be repeated (every machine)",
    )
    maps.add_argument(
        "--no-maps", action="store_true", help="map no embeddings: seconds faster"
    )
    parser.set_defaults(run=_report)


def need_report() -> None:
    """See that what pages are made with is there, see `need`."""
    need("a page", "jinja2", "matplotlib", "sklearn")


def _report(arguments: argparse.Namespace) -> int:
    need_report()
    from asd_train.report import history  # slow to load
    from asd_train.report.folder import Evaluation
    from asd_train.report.page import Choice, page
    from asd_train.report.write import write

    evaluation = Evaluation.open(arguments.path)
    maps = () if arguments.no_maps else arguments.maps and tuple(arguments.maps)
    text = page(
        evaluation,
        history.read(arguments.made_of or evaluation.made_of),
        Choice(arguments.data, maps, arguments.clips),
    )
    return write(arguments.out or evaluation.path / "report.html", text)
