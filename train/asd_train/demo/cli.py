"""The command line of the demonstration."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from asd_agent.errors import AsdError
from asd_train.demo.agent import AgentFailed
from asd_train.demo.play import play
from asd_train.demo.story import Story


def main(argv: Sequence[str] | None = None) -> int:
    """Play the demonstration.

    Returns
    -------
    int
        0 if the fault was detected and nothing before it, 1 if not, 130 if
        interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m asd_train.demo",
        description="Let a simulated machine break and watch the agent find it; "
        "takes less than two minutes.",
        epilog="exit codes: 0 detected, 1 not detected or failed, 130 interrupted",
    )
    parser.add_argument("--bundle", type=Path, help="a bundle other than the default")
    args = parser.parse_args(argv)
    # As Ctrl-C, so that the agent is stopped and the folder removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if play(Story(), Console(), args.bundle) else 1
    except (AsdError, AgentFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
