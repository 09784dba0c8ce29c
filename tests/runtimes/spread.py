"""How far libraries of other versions are from the golden numbers of a bundle.

``PYTHONPATH=tests python -m runtimes.spread [BUNDLE]`` makes an environment for each
(the first time a few minutes), runs the self-test of the agent there and prints the
largest differences. docs/export.md has what came out.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.bundle.proof import Proof
from runtimes.environments import FOLDER, Environment, here, make, proof_in

KINDS = ("features", "vector", "pooled", "score", "p_value")


def with_kernels(environments: list[Environment]) -> Iterator[Environment]:
    """The newest ones with other arithmetic too, as a stand-in for other processors."""
    for environment in environments:
        yield environment
        if environment.packages[0] == "ai-edge-litert==2.3.0":
            yield replace(environment, kernels="plain")
            yield replace(environment, kernels="reference")
        if environment.packages[0] == "onnxruntime==1.31.1":
            yield replace(environment, kernels="as written")


def lines(name: str, proof: Proof) -> Iterator[str]:
    """A line for each file: the largest difference of each kind."""
    for file in dict.fromkeys(row.file for row in proof.rows):
        rows = [row for row in proof.rows if row.file == file]
        worst = {
            kind: max((r.difference for r in rows if r.what == kind), default=0.0)
            for kind in KINDS
        }
        cells = "".join(f"{worst[kind]:10.2g}" for kind in KINDS)
        verdict = "ok" if all(row.ok for row in rows) else "DIFFERS"
        notes = " ".join(row.note for row in rows)
        yield f"{name:34}{file or '-':22}{cells}  {verdict} {notes}".rstrip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=DEFAULT_BUNDLE)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="environments")
    args = parser.parse_args()
    print(f"{'library':34}{'file':22}" + "".join(f"{kind:>10}" for kind in KINDS))
    for environment in with_kernels(here()):
        python = make(environment.packages, args.folder)
        proof = proof_in(environment, python, args.bundle)
        for line in lines(environment.name, proof):
            print(line, flush=True)


if __name__ == "__main__":
    main()
