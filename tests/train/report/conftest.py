"""Forges evaluation folders as `asd-train evaluate` writes them."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

GROUPS = 24
HEADER = (
    *("path", "machine", "section", "split", "domain", "label", "attributes"),
    *("score", "p_value", "threshold", "decision"),
)
Forge = Callable[..., Path]


@dataclass(frozen=True)
class Order:
    """What to forge."""

    name: str = "best"
    machines: tuple[str, ...] = ("fan", "valve")
    sections: int = 2
    protocol: int = 2021
    domains: tuple[str, ...] = ("source", "target")
    clips: int = 12
    """Of each label in each domain and section of the test"""
    trained: int = 10
    """Clips of each section and domain to train on"""
    contrast: float = 1.5
    """How much farther off an anomaly scores, in deviations"""
    noise: int = 0
    """Seed of what differs from one network to another"""
    quantised: bool = False
    recipe: str = "name: best\nloss: {kind: arcface, scale: 30}\n"


@dataclass
class Table:
    """Rows of scores.csv as they grow."""

    rows: list[dict[str, Any]]
    vectors: list[NDArray[np.float32]]
    levels: list[NDArray[np.float32]]


def _clips(order: Order) -> Iterator[dict[str, Any]]:
    """Every clip, the test's first."""
    for split in ("test", "train"):
        for machine in order.machines:
            for section in range(order.sections):
                for domain in order.domains:
                    labels = ("normal", "anomaly") if split == "test" else ("normal",)
                    count = order.clips if split == "test" else order.trained
                    for label in labels:
                        for n in range(count):
                            part = f"{domain}_" if domain else ""
                            name = f"section_{section:02}_{part}{split}_{label}_{n:04}"
                            yield {
                                "path": f"{machine}/{split}/{name}_spd_{n % 3}.wav",
                                "machine": machine,
                                "section": f"{section:02}",
                                "split": split,
                                "domain": domain,
                                "label": label,
                                "attributes": f"spd_{n % 3}",
                            }


def _filled(order: Order) -> Table:
    table = Table([], [], [])
    sound = np.random.default_rng(1)  # the same clips for every network
    heard = np.random.default_rng((2, order.noise))
    edges = np.linspace(0, 1, GROUPS)
    for row in _clips(order):
        odd = row["label"] == "anomaly"
        place = order.machines.index(row["machine"]) * 3 + int(row["section"])
        hard = sound.normal() * 0.8
        score = 1.0 + 0.25 * (row["domain"] == "target")
        score += 0.2 * (hard + heard.normal() * 0.6 + odd * order.contrast)
        centre = np.random.default_rng(place).normal(size=16)
        vector = centre + sound.normal(size=16) * 0.35 + odd * 0.5
        vector[0] += 1.5 * (row["domain"] == "target")
        level = -40 - 30 * edges + sound.normal(size=GROUPS) + odd * 8 * (edges > 0.7)
        table.rows.append({**row, "score": float(np.exp(score) / 100)})
        table.vectors.append(vector.astype(np.float32))
        table.levels.append(level.astype(np.float32))
    return table


def _decide(order: Order, rows: list[dict[str, Any]]) -> None:
    """P-values from the training clips of the section, threshold at their 90 %."""
    for row in rows:
        same = [
            r["score"]
            for r in rows
            if r["split"] == "train"
            and (r["machine"], r["section"]) == (row["machine"], row["section"])
        ]
        row["threshold"] = float(np.quantile(same, 0.9))
        higher = sum(score >= row["score"] for score in same)
        row["p_value"] = (1 + higher) / (1 + len(same))
        row["decision"] = int(row["score"] > row["threshold"])


def _measured(order: Order, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    domains = [d or "all" for d in order.domains]
    if order.protocol >= 2022 and len(domains) > 1:
        domains.append("all")
    found = []
    for machine in order.machines:
        for section in range(order.sections):
            here = [
                r
                for r in rows
                if r["split"] == "test"
                and (r["machine"], r["section"]) == (machine, f"{section:02}")
            ]
            for domain in domains:
                mine = [
                    r
                    for r in here
                    if domain in ("all", r["domain"])
                    or (order.protocol >= 2022 and r["label"] == "anomaly")
                ]
                found.append(_row(mine, machine, section, domain))
    return found


def _row(
    mine: list[dict[str, Any]], machine: str, section: int, domain: str
) -> dict[str, Any]:
    odd = np.array([r["label"] == "anomaly" for r in mine])
    scores = np.array([r["score"] for r in mine])
    called = np.array([r["decision"] for r in mine]) == 1
    auc = float(roc_auc_score(odd, scores))
    pauc = float(roc_auc_score(odd, scores, max_fpr=0.1))
    hits = int((called & odd).sum())
    precision, recall = hits / max(1, int(called.sum())), hits / int(odd.sum())
    return {
        "machine": machine,
        "section": f"{section:02}",
        "domain": domain,
        "auc": auc,
        "pauc": pauc,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "f1_ev": None,
        "threshold": mine[0]["threshold"],
        "normal": int((~odd).sum()),
        "anomalous": int(odd.sum()),
        "auc_ci": [max(0.0, auc - 0.06), min(1.0, auc + 0.06)],
        "pauc_ci": [max(0.0, pauc - 0.08), min(1.0, pauc + 0.08)],
    }


def _means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    values = {key: np.array([row[key] for row in rows]) for key in ("auc", "pauc")}
    return {
        "arithmetic": {key: float(v.mean()) for key, v in values.items()},
        "harmonic": {key: float(len(v) / (1 / v).sum()) for key, v in values.items()},
    }


def forge(run: Path, order: Order) -> Path:
    """Write a run's folder with an evaluation in it."""
    folder = run / "evaluation"
    folder.mkdir(parents=True)
    table = _filled(order)
    _decide(order, table.rows)
    rows = _measured(order, table.rows)
    counted = [r["auc"] for r in rows if order.protocol < 2022 or r["domain"] != "all"]
    late = order.protocol >= 2022 and len(order.domains) > 1
    counted += [r["pauc"] for r in rows if not late or r["domain"] == "all"]
    official = len(counted) / sum(1 / max(v, 1e-16) for v in counted)
    content = {
        "format": 1,
        "name": order.name,
        "kind": "run",
        "recipe": "best",
        "revision": "0123abc",
        "data": "sounds",
        "protocol": order.protocol,
        "quantised": order.quantised,
        "seed": 1,
        "created": "2026-11-22T10:00:00Z",
        "sections": rows,
        "machines": [
            {"machine": m, **_means([r for r in rows if r["machine"] == m])}
            for m in order.machines
        ],
        "overall": {
            **_means(rows),
            "official": official,
            "official_ci": [official - 0.02, official + 0.02],
        },
        "reference": {"statistics": {"official": 0.6127}},
    }
    (folder / "evaluation.json").write_text(json.dumps(content))
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(table.rows)
    _tensors(folder, table)
    _training(run, order)
    return run


def _tensors(folder: Path, table: Table) -> None:
    vectors = np.array(table.vectors)
    train = np.array([row["split"] == "train" for row in table.rows])
    distance = np.linalg.norm(vectors[:, None] - vectors[None, train], axis=2)
    nearest = np.flatnonzero(train)[distance.argmin(axis=1)]
    edges = np.geomspace(30, 8000, GROUPS + 1)
    edges[0] = 0
    save_file({"vectors": vectors}, folder / "embeddings.safetensors")
    save_file(
        {
            "levels": np.array(table.levels),
            "edges_hz": np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32),
            "nearest": nearest.astype(np.int64),
        },
        folder / "spectra.safetensors",
    )


def _training(run: Path, order: Order) -> None:
    rng = np.random.default_rng(order.noise)
    lines = [
        {
            "step": step,
            "rate": 1e-3 * min(1, step / 30) * (1 - step / 700),
            "loss": 8 * np.exp(-step / 150) + rng.normal() * 0.2,
            "accuracy": 1 - np.exp(-step / 120) + rng.normal() * 0.02,
        }
        for step in range(1, 601)
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (run / "metrics.jsonl").write_text(text + "\n")
    (run / "recipe.yaml").write_text(order.recipe)
    assert yaml.safe_load(order.recipe)
    features = {"kind": "logmel", "window": 1024, "n_mels": 64}
    (run / "run.json").write_text(json.dumps({"features": features}))


def sing(root: Path, run: Path, seconds: float = 1.5) -> None:
    """Write a recording for every clip: noise, and a tone in anomalous ones."""
    rng = np.random.default_rng(0)
    with (run / "evaluation" / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    time = np.arange(int(seconds * 16_000)) / 16_000
    for row in rows:
        sound = rng.normal(size=len(time)) * 0.01
        sound += 0.02 * np.sin(2 * np.pi * 200 * time)
        if row["label"] == "anomaly":
            sound += 0.05 * np.sin(2 * np.pi * 3000 * time)
        path = root / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, 16_000)


@pytest.fixture
def make(tmp_path: Path) -> Forge:
    """Forge a run with an evaluation; keywords are the fields of `Order`."""

    def forged(folder: str = "run", **keywords: Any) -> Path:
        return forge(tmp_path / folder, Order(**keywords))

    return forged


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an evaluation, not to be changed."""
    return forge(tmp_path_factory.mktemp("runs") / "done", Order())


@pytest.fixture(scope="session")
def sounds(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings of `done`."""
    root = tmp_path_factory.mktemp("recordings")
    sing(root, done)
    return root
