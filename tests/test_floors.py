"""The floors of the house: who may know whom, lazy imports included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "asd_agent": ROOT / "agent" / "asd_agent",
    "asd_export": ROOT / "export" / "asd_export",
    "asd_train": ROOT / "train" / "asd_train",
}
FILES = [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]
MAX_LINES = 300

BELOW = {
    "asd_agent": set[str](),
    "asd_train": {"asd_agent"},
    "asd_export": {"asd_agent", "asd_train"},
}
"""Packages that each may import, besides itself"""
HEAVY = frozenset(
    {"torch", "torchaudio", "onnx", "onnxscript", "sklearn", "scipy", "librosa"}
    | {"matplotlib", "rich", "amqtt", "tqdm", "tensorflow", "pandas", "numba"}
)
"""What the agent must not need"""
CORE = {"features", "inference", "scoring", "errors"}
SOUND = CORE | {"bundle", "capture"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "progress": set(),
    "health": set(),
    "child": {"errors"},
    "features": {"errors"},
    "inference": {"errors"},
    "scoring": {"errors"},
    "capture": {"child", "errors"},
    "coverage": {"scoring"},
    "ledger": {"bundle", "coverage"},
    "suspicion": set(),
    "clip": {"capture", "flac"},
    "clip_store": {"bundle", "mqtt"},
    "clips": {"bundle", "capture", "clip", "clip_store", "config", "mqtt"},
    "load": set(),
    "alone": {"errors"},
    "heartbeat": set(),
    "notify": {"heartbeat"},
    "config_model": set(),
    "config": {"capture", "config_model", "errors"},
    "config_words": {"config", "config_model"},
    "config_file": {"config", "config_words", "errors"},
    "bundle": CORE | {"child"},
    "mqtt": CORE | {"bundle", "config", "coverage", "health", "ledger", "update"},
    "hearing": SOUND,
    "judge": SOUND | {"hearing"},
    "pipeline": SOUND | {"hearing", "judge", "suspicion"},
    "learn": SOUND | {"hearing", "pipeline"},
    "kept": {"bundle", "capture", "errors"},
    "flac": {"capture", "kept"},
    "keeper": SOUND | {"hearing", "kept", "flac"},
    "learning": SOUND | {"hearing", "learn", "keeper", "kept"},
    "update": {"bundle", "config", "scoring", "errors"},
    "engine": {"bundle", "config", "setup"},
    "ear": SOUND | {"config", "setup", "update", "engine", "pipeline", "learning"},
    "ears": SOUND | {"update", "ear"},
}
"""Parts of the agent that each lower part may import, besides itself"""
PICKLERS = frozenset({"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"})


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """Full names of every module that a file may import, wherever it does so."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            # What is taken from a package may be a module of it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[1]


def room(path: Path) -> str:
    """Part of the agent that a file belongs to."""
    return path.relative_to(PACKAGES["asd_agent"]).parts[0].removesuffix(".py")


def rooms(path: Path) -> set[str]:
    """Parts of the agent that a file imports."""
    names = [name.split(".") for name in imports(path)]
    found = {parts[1] for parts in names if parts[0] == "asd_agent" and len(parts) > 1}
    return {
        name
        for name in found
        if (PACKAGES["asd_agent"] / name).is_dir()
        or (PACKAGES["asd_agent"] / f"{name}.py").is_file()
    }


def test_there_is_something_to_look_at() -> None:
    assert {package(path) for path in FILES} == set(PACKAGES)
    assert set(imports(PACKAGES["asd_agent"] / "cli.py")) >= {
        "asd_agent.service.Service",
        "asd_agent.teach.teach",
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_import_only_what_lies_below(name: str) -> None:
    for path in FILES:
        if package(path) == name:
            roots = {module.split(".")[0] for module in imports(path)}
            ours = roots & set(PACKAGES) - {name}
            assert ours <= BELOW[name], f"{path} imports {ours - BELOW[name]}"


def test_the_agent_needs_nothing_heavy() -> None:
    for path in FILES:
        if package(path) == "asd_agent":
            heavy = {module.split(".")[0] for module in imports(path)} & HEAVY
            assert not heavy, f"{path} imports {heavy}"


@pytest.mark.parametrize("name", ROOMS)
def test_a_lower_part_of_the_agent_knows_no_other(name: str) -> None:
    files = [p for p in FILES if package(p) == "asd_agent" and room(p) == name]
    assert files
    for path in files:
        wrong = rooms(path) - ROOMS[name] - {name}
        assert not wrong, f"{path} imports {wrong}"


def test_nothing_of_the_agent_looks_up_to_its_command_line() -> None:
    for path in FILES:
        if package(path) == "asd_agent" and path.name not in {"cli.py", "__main__.py"}:
            assert "cli" not in rooms(path), path
            if path.name != "service.py":
                assert "service" not in rooms(path), path


def test_no_file_holds_or_reads_pickles() -> None:
    for path in FILES:
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & PICKLERS, f"{path} imports {roots & PICKLERS}"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                value = node.value
                assert isinstance(value, ast.Constant), path
                assert value.value is False, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("torch", "load"), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert not text.strip() or ast.get_docstring(tree(path))


HELP = """\
import sys
from asd_agent.cli import main
try:
    main({words})
except SystemExit as exit:
    assert exit.code == 0
loaded = {{name.split(".")[0] for name in sys.modules}}
print("LOADED", *sorted(loaded & set({heavy})))
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["replay", "--help"], ["bundle", "install", "--help"], ["--version"]],
)
def test_help_is_at_once_there(words: list[str]) -> None:
    heavy = sorted(
        HEAVY
        | {"numpy", "onnxruntime", "ai_edge_litert", "sounddevice", "soxr", "yaml"}
    )
    found = subprocess.run(
        [sys.executable, "-c", HELP.format(words=words, heavy=heavy)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "agent")},
    )
    assert found.stdout.splitlines()[-1] == "LOADED"
