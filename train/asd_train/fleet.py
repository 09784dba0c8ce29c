"""One network for all machine types, or one for each, as the recipe says."""

import logging
from pathlib import Path

from asd_agent.errors import ConfigError, SoundError
from asd_train.budget import Budget
from asd_train.data.reading import AS_FOUND, Reading
from asd_train.data.units import class_names
from asd_train.fit import Plan, fit
from asd_train.recipe import Recipe, dump, load
from asd_train.run import Run, RunError, write_atomic
from asd_train.runs import runs_of

_LOG = logging.getLogger(__name__)


def fit_all(
    recipe: Recipe,
    data: Path,
    folder: Path,
    budget: Budget,
    *,
    plan: Plan | None = None,
    init: Path | None = None,
    reading: Reading = AS_FOUND,
) -> dict[str, Run]:
    """Train what the recipe asks for.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        Recordings.
    folder : Path
        The run, or with `one_per: machine` the folder of the runs, each named after
        its machine type.
    budget : Budget
        Each run gets all of the steps, or its part of the minutes.
    plan : Plan, optional
    init : Path, optional
        Run, or folder of runs, to begin from.
    reading : Reading, optional

    Returns
    -------
    dict
        ``{"": run}``, or ``{machine: run}``; as `asd_train.runs.runs_of`.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; resumed, it goes on with the machine type that it was at.
    AsdError
        As `fit`.
    """
    plan = plan or Plan()
    origins = runs_of(init) if init else {}
    if recipe.one_per == "joint":
        origin = _origin(origins, "", init)
        run = fit(recipe, data, folder, budget, plan=plan, init=origin, reading=reading)
        return {"": run}
    machines = _machines(recipe, data, reading)
    if plan.world.main:
        _prepare(recipe, folder, machines, plan.resume)
    plan.world.wait()
    runs = {}
    for number, machine in enumerate(machines, 1):
        _LOG.info("%s, %s of %s", machine, number, len(machines))
        one = recipe.model_copy(update={"machines": (machine,), "one_per": "joint"})
        share = budget.shared(len(machines))
        origin = _origin(origins, machine, init)
        runs[machine] = fit(
            one,
            data,
            folder / machine,
            share,
            plan=plan,
            init=origin,
            reading=reading,
        )
    return runs


def _machines(recipe: Recipe, data: Path, reading: Reading) -> tuple[str, ...]:
    """Machine types to train on, all seen to be trainable before the first begins."""
    clips = reading.clips(data, "train", recipe.machines)
    found = tuple(sorted({clip.machine for clip in clips}))
    missing = sorted(set(recipe.machines) - set(found))
    if missing or not found:
        names = ", ".join(missing or recipe.machines) or "any machine type"
        raise SoundError(
            f"{data} has no training clips of {names}: give the folder that holds "
            "<machine>/train"
        )
    for machine in found:
        own = [clip for clip in clips if clip.machine == machine]
        if len(class_names(own, recipe.classes)) < 2:
            raise SoundError(
                f"{machine} has {len(own)} training clips of one class, and a network "
                "learns by telling classes apart: take one_per: joint, or classes: "
                "attributes"
            )
    return found


def _prepare(
    recipe: Recipe, folder: Path, machines: tuple[str, ...], resume: bool
) -> None:
    saved = folder / "recipe.yaml"
    if folder.is_dir() and any(folder.iterdir()):
        if not resume:
            raise ConfigError(
                f"{folder} is not empty. Give another folder after -o, or --resume to "
                "go on with the runs in it"
            )
        if saved.is_file() and load(str(saved)) != recipe:
            raise ConfigError(
                f"{folder} was begun with another recipe, seed or machines: resume it "
                "without --seed and --machines"
            )
        # Others, such as evaluation or bundle, are what was made of the runs since.
        strange = {p.parent.name for p in folder.glob("*/run.json")} - set(machines)
        if strange:
            raise RunError(
                f"{folder} holds {min(strange)}, which is none of the recordings' "
                "machine types: resume with the same recordings"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(saved, dump(recipe).encode())


def _origin(origins: dict[str, Run], machine: str, path: Path | None) -> Run | None:
    """Run to begin from: that of the machine type, else the one for all."""
    if path is None:
        return None
    run = origins.get(machine) or origins.get("")
    if run is None:
        raise ConfigError(
            f"--init {path} has runs of {', '.join(origins)} and none of "
            f"{machine or 'all machine types'}: give one of them"
        )
    if not run.complete:
        raise ConfigError(f"--init {run.path} has not come to its end: resume it first")
    return run
