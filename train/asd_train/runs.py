"""The runs in a folder: one network for all machine types, or one for each."""

from pathlib import Path

from asd_train.run import Run, RunError


def runs_of(path: Path) -> dict[str, Run]:
    """Open a run, or each of the runs that a recipe with one a machine left.

    Returns
    -------
    dict
        ``{"": run}`` of one network for all, else ``{machine: run}``.

    Raises
    ------
    RunError
        The folder is neither.
    """
    if (path / "run.json").is_file():
        return {"": Run.open(path)}
    folders = sorted(p.parent for p in path.glob("*/run.json"))
    if not folders or not (path / "recipe.yaml").is_file():
        raise RunError(
            f"{path} is not a run: it has no run.json, and no folders of machine "
            "types that have one beside a recipe.yaml. Give the folder after -o of "
            "asd-train fit"
        )
    return {folder.name: Run.open(folder) for folder in folders}
