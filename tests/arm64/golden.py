"""What machines make of the golden sound of a bundle, side by side."""

import json
from collections.abc import Sequence
from pathlib import Path

from arm64.machine import Arm, Here, Older
from asd_agent.bundle.proof import Row


def selftest(machine: Here | Older | Arm, bundle: Path) -> list[Row]:
    """Rows of the agent's self-test of every model file, as `bundle verify` runs it."""
    said = machine.run("python", "-m", "asd_agent.bundle.selftest", bundle, "--all")
    found = json.loads(said.strip().splitlines()[-1])
    return [Row(**row) for row in found["rows"]]


def table(names: Sequence[str], proofs: Sequence[Sequence[Row]]) -> str:
    """Differences from the builder's numbers, a column for each machine."""
    head = ["model", "compared", "allowed", *names]
    lines = [head, ["---"] * len(head)]
    for rows in zip(*proofs, strict=True):
        first = rows[0]
        assert all((r.file, r.what) == (first.file, first.what) for r in rows)
        name = f"{first.member} {first.file}".rstrip()
        cells = [
            f"{row.difference:.2g}{'' if row.ok else ' **differs**'}" for row in rows
        ]
        lines.append([name, first.what, f"{first.allowed:g}", *cells])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
