"""The agent on an emulated ARM64 machine against this one: ``python -m arm64``.

Needs root, a network, and the Debian packages qemu-user-static, binfmt-support and
debootstrap; takes an hour or more. It makes a Debian 12 root for arm64, installs the
agent there from wheels for aarch64, and prints as tables

- ``golden``: how far each machine's numbers for the golden sound of each bundle are
  from its builder's,
- ``clips``: what both machines say of recordings of simulated machines: each having
  learnt by itself, and the emulated one with what this one learnt.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from arm64.compare import agreement
from arm64.golden import selftest, table
from arm64.machine import CPUS, OLDER, TOOLS, Arm, CommandError, Here, Older, output
from arm64.sites import Machine, Plant, Said, Trial
from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.bundle.manifest import Manifest

PROJECT = Path(__file__).parents[2]
PARTS = ("golden", "clips")
MACHINES = "gearbox,slider,valve"
CLIPS_HEAD = """\

| bundle | runtime | learnt by | rank | score | p mean | p max | AUC here | AUC arm64 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""
VERSIONS = (
    "import platform; from importlib.metadata import version; "
    "print(platform.machine(), 'Python', platform.python_version(), *(f'{name} "
    "{version(name)}' for name in ('numpy', 'onnxruntime', 'ai-edge-litert')))"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Set both machines up and compare them."""
    parser = _parser()
    args = parser.parse_args(argv)
    for part in args.parts:
        if part not in PARTS:
            parser.error(f"{part}: there are {', '.join(PARTS)}")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    work = args.work.resolve()
    here, arm = Here(work / "here"), Arm(work / "root", work / "share", args.cpu)
    try:
        _set_up(here, arm)
        for machine in (here, arm):
            print(machine.run("python", "-c", VERSIONS), end="", flush=True)
        bundles = _copies([DEFAULT_BUNDLE, *args.bundle], arm.share / "bundles")
        if "golden" in (args.parts or PARTS):
            _golden(here, arm, bundles)
        if "clips" in (args.parts or PARTS):
            _all_clips(here, arm, args, bundles)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arm64",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    work = Path("/var/tmp/asd-arm64")  # noqa: S108 - root's, and it stays
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--work", type=Path, default=work, help="folder to work in")
    parser.add_argument("--cpu", choices=CPUS, default="cortex-a72")
    parser.add_argument(
        "--bundle", type=Path, action="append", default=[], help="besides the default"
    )
    parser.add_argument("--runtimes", default="onnx,tflite")
    parser.add_argument("--clips-train", type=int, default=12, help="of each machine")
    parser.add_argument("--clips-test", type=int, default=16, help="of each machine")
    return parser


def _set_up(here: Here, arm: Arm) -> None:
    """Install the agent of this checkout on both machines."""
    arm.make()
    built = arm.share / "built"
    shutil.rmtree(built, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", built)
    output((*pip, PROJECT))
    (wheel,) = built.iterdir()
    constraints = PROJECT / "constraints.txt"
    here.install(wheel, constraints)
    arm.install(wheel, constraints)


def _copies(found: Sequence[Path], folder: Path) -> list[Path]:
    """Copies of bundles where both machines see them."""
    shutil.rmtree(folder, ignore_errors=True)
    copies = []
    for path in found:
        manifest = Manifest.model_validate_json((path / "manifest.json").read_bytes())
        copies.append(folder / manifest.id)
        shutil.copytree(path, copies[-1])
    return copies


def _golden(here: Here, arm: Arm, bundles: Sequence[Path]) -> None:
    """Print how far both are from the builder's numbers."""
    machines: list[Here | Older | Arm] = [
        here,
        *(Older(here.venv, cpu) for cpu in OLDER),
        *(Arm(arm.root, arm.share, cpu) for cpu in CPUS),
        Arm(arm.root, arm.share, arm.cpu, blind=True),
    ]
    for bundle in bundles:
        verify = ("bundle", "verify", "--allow-unsigned", bundle)
        print(f"\n{arm.name}$ asd-agent {' '.join(map(str, verify))}", flush=True)
        print(arm.run("asd-agent", *verify), flush=True)
        proofs = [selftest(machine, bundle) for machine in machines]
        print(table([machine.name for machine in machines], proofs), flush=True)


def _all_clips(
    here: Here, arm: Arm, args: argparse.Namespace, bundles: Sequence[Path]
) -> None:
    sound = arm.share / "sound"
    if not sound.exists():
        simulate = (sys.executable, "-m", "asd_train", "simulate", sound)
        count = ("--clips-train", args.clips_train, "--clips-test", args.clips_test)
        kinds = ("--machines", MACHINES, "--sections", "1")
        output((*simulate, *kinds, *map(str, count)))
    print(CLIPS_HEAD, flush=True)
    for bundle in bundles:
        for copy in (bundle, *_network_alone(bundle)):
            for runtime in args.runtimes.split(","):
                _clips(here, arm, Plant(sound), copy, runtime)


def _network_alone(bundle: Path) -> list[Path]:
    """Copy of a bundle of several members with its network alone, if it has one.

    Members without a network agree on all machines; alone, the network shows what
    its runtime does.
    """
    file = bundle / "manifest.json"
    manifest = Manifest.model_validate_json(file.read_bytes())
    networks = [m for m in manifest.members if m.embedder is not None]
    if len(manifest.members) == 1 or not networks:
        return []
    copy = bundle.with_name(f"{bundle.name}-network")
    shutil.copytree(bundle, copy, dirs_exist_ok=True)
    alone = manifest.model_copy(update={"members": tuple(networks[:1])})
    (copy / "manifest.json").write_text(alone.model_dump_json())
    return [copy]


def _clips(here: Here, arm: Arm, plant: Plant, bundle: Path, runtime: str) -> None:
    """Print what both machines say of the recordings."""

    def trial(machine: Machine, name: str) -> Trial:
        folder = arm.share / "trials" / f"{bundle.name}-{runtime}-{name}"
        return Trial(machine, plant, bundle, runtime, folder)

    ours, theirs = trial(here, "here"), trial(arm, "arm64")
    ours.learn()
    said = ours.judge()
    theirs.learn()
    _print_row(bundle, runtime, "each", said, theirs.judge())
    theirs.take(ours)
    _print_row(bundle, runtime, here.name, said, theirs.judge())


def _print_row(
    bundle: Path, runtime: str, learnt: str, ours: Said, theirs: Said
) -> None:
    found = agreement(ours, theirs)
    cells = [
        *(bundle.name, runtime, learnt, f"{found.rank:.4f}", f"{found.score:.3g}"),
        *(f"{found.p_value_mean:.3g}", f"{found.p_value:.3g}"),
        *(f"{area:.4f}" for area in found.auc),
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
