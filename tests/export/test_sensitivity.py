"""The layers that hurt are found, and told."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from torch import nn

from asd_agent.errors import ConfigError
from asd_export import chart
from asd_export.parity import Reference
from asd_export.sensitivity import Layer, layers, table, worst
from support.tiny_models import lifted, tiny_network, tiny_source

PLACES = {
    "unit": "unit",
    "stem.0": "convolution",
    "body.0": "depthwise",
    "body.3": "convolution",
    "sum": "sum",
    "head.0": "depthwise",
    "head.2": "convolution",
}


def measured(network: nn.Module) -> list[Layer]:
    source = tiny_source()
    reference = Reference.of(network, source.calibration, source.held_out)
    return layers(network, reference, "onnx")


@cache
def plain() -> list[Layer]:
    return measured(tiny_network())


def test_every_place_is_measured_and_the_worst_comes_first() -> None:
    found = plain()
    assert {layer.name: layer.kind for layer in found} == PLACES
    shares = [layer.share for layer in found]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    by_noise = [layer.sqnr_db for layer in found]
    assert by_noise == sorted(by_noise)
    for layer in found:
        assert 15 < layer.sqnr_db < 70
        assert 0.99 < layer.cosine <= 1
        assert layer.rank > 0.9


def test_a_spoiled_layer_is_the_worst() -> None:
    found = measured(lifted(20))
    # The constant comes from body.3, and head.0 takes it off again.
    assert {layer.name for layer in found[:3]} == {"body.3", "sum", "head.0"}
    (before,) = (layer for layer in plain() if layer.name == "body.3")
    (after,) = (layer for layer in found if layer.name == "body.3")
    assert after.sqnr_db < before.sqnr_db - 6
    assert worst(found).startswith(f"  {found[0].name}: ")


def test_as_many_bits_as_the_runtime_has() -> None:
    source = tiny_source()
    reference = Reference.of(source.network, source.calibration, source.held_out)
    found = {la.name: la for la in layers(source.network, reference, "tflite")}
    seven = {la.name: la for la in plain()}
    # The last one gives out few values: what it loses is in its weights.
    assert found["head.2"].sqnr_db > seven["head.2"].sqnr_db
    assert found["unit"].sqnr_db == pytest.approx(seven["unit"].sqnr_db)


def test_the_table_names_every_layer() -> None:
    lines = table(plain()).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [la.name for la in plain()]
    assert len({len(line) for line in lines}) == 1
    assert len(worst(plain()).splitlines()) == 5


def test_a_program_reads_the_table(tmp_path: Path) -> None:
    path = tmp_path / "layers.csv"
    chart.write(plain(), path, "tiny")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [la.name for la in plain()]
    assert float(rows[0]["share"]) == plain()[0].share


@pytest.mark.parametrize(("ending", "head"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_person_sees_a_plot(tmp_path: Path, ending: str, head: bytes) -> None:
    path = tmp_path / f"layers.{ending}"
    many = [replace(plain()[0], name=f"stages.{i}") for i in range(60)]
    chart.write(many, path, "a title")
    content = path.read_bytes()
    assert content.startswith(head)
    if ending == "svg":
        text = content.decode()
        assert "stages.39" in text
        assert "stages.40" not in text
        chart.write(many, path, "a title")
        assert "<dc:date>" not in text


def test_no_folder_no_plot(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        chart.write(plain(), tmp_path / "none" / "layers.svg", "tiny")
