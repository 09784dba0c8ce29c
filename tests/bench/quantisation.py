"""What int8 does to trained networks: ``python -m bench.quantisation RUN...``.

Makes the int8 files of each run in every way to set ranges, runs them as a device
does, and prints a table for docs/export.md. With ``--qat`` those of fine-tuned weights
as well.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asd_agent.cli import use_one_thread

use_one_thread()  # as the agent does, and like it before numpy is imported

from asd_export import choose, gate  # noqa: E402
from asd_export.calibrate import WAYS  # noqa: E402
from asd_export.order import Tuning  # noqa: E402
from asd_export.parity import HeldOut, Parity, Reference  # noqa: E402
from asd_export.source import open_run  # noqa: E402
from bench.machine import describe  # noqa: E402

NAMES = ("onnx-int8", "tflite-int8")
HEAD = (
    "| network | file | ranges | rank | AUC loss | cosine | min | kB | ms | gate |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, a run after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench.quantisation")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--qat", type=int, default=0, metavar="STEPS")
    args = parser.parse_args(argv)
    print(describe())
    print(HEAD, flush=True)
    for path in args.runs:
        print("\n".join(lines(path, args.qat)), flush=True)
    return 0


def lines(path: Path, steps: int) -> list[str]:
    """Rows of one run."""
    run = open_run(path)
    held = run.heldout()
    reference = Reference.of(
        run.network(),
        run.calibration()[0],
        HeldOut(held.units, held.clip, held.anomaly),
    )
    tried = choose.measure(run.network(), reference, NAMES, WAYS, _say)
    if steps:
        tuning = Tuning(steps, always=True)
        tried += choose.tuned(
            run.network(), reference, tried, WAYS, tuning, report=_say
        )
    return [_line(run.info.network.name, one.row) for one in tried]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _line(network: str, row: Parity) -> str:
    agreed = row.agreement
    loss = "-" if agreed.auc_loss is None else f"{agreed.auc_loss:.4f}"
    passes = "yes" if gate.passes(row) else "no"
    return (
        f"| {network} | `{row.model.file}` | {row.method} | {agreed.rank:.4f} | {loss} "
        f"| {agreed.cosine_mean:.4f} | {agreed.cosine_min:.4f} | {row.kilobytes:.0f} "
        f"| {row.unit_ms:.2f} | {passes} |"
    )


if __name__ == "__main__":
    sys.exit(main())
