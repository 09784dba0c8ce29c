"""The command ``compare``: one page from several evaluations."""

import argparse
from pathlib import Path

from asd_train.commands.common import Commands, command
from asd_train.commands.report import need_report

_EXAMPLE = """example:
  asd-train evaluate /tmp/run-a --data /tmp/sim
  asd-train evaluate /tmp/run-b --data /tmp/sim
  asd-train compare /tmp/run-a /tmp/run-b -o /tmp/comparison.html

Differences are to the first. Where both were evaluated on the same clips, a paired
bootstrap over the clips says how sure the difference is.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "compare", "write a page that compares evaluations", _EXAMPLE
    )
    parser.add_argument(
        "paths",
        metavar="RUN|OUT",
        type=Path,
        nargs="+",
        help="runs that were evaluated, or the folders of their evaluations; 2 to 8",
    )
    parser.add_argument(
        "-o",
        dest="out",
        metavar="FILE",
        type=Path,
        default=Path("comparison.html"),
        help="page to write (%(default)s)",
    )
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    need_report()
    from asd_train.report import history  # slow to load
    from asd_train.report.comparison import compare
    from asd_train.report.folder import Evaluation
    from asd_train.report.write import write

    evaluations = [Evaluation.open(path) for path in arguments.paths]
    histories = [history.read(evaluation.made_of) for evaluation in evaluations]
    return write(arguments.out, compare(evaluations, histories))
