"""Fine-tuning brings a network through the gate that int8 would not pass."""

from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.errors import BundleError
from asd_export import gate, qat
from asd_export.build import Built, build, write
from asd_export.calibrate import MINMAX
from asd_export.order import Order, Tuning
from asd_export.parity import HeldOut, cosines, embed_reference
from asd_export.simulate import Simulation
from asd_export.source import Source
from support.tiny_models import SHAPE, lifted, random_units, tiny_source, toned

ORDER = Order(
    id="tiny",
    version=1,
    created=datetime(2026, 1, 2, tzinfo=timezone.utc),
    files=("onnx-int8", "onnx-float32"),
    calibration="minmax",
)


def hard_source() -> Source:
    clean = toned(0.05 * random_units(60, seed=2), 8, 3)
    return replace(
        tiny_source(),
        network=lifted(50),
        calibration=toned(0.05 * random_units(60, seed=4), 20, 3),
        held_out=HeldOut(clean, np.repeat(np.arange(12), 5)),
    )


@cache
def hard(tuning: Tuning | None) -> Built:
    return build(hard_source(), replace(ORDER, tuning=tuning), lambda _: None)


def test_int8_fails_and_says_which_layers_hurt(tmp_path: Path) -> None:
    built = hard(None)
    with pytest.raises(BundleError) as caught:
        write(built, tmp_path / "b")
    assert caught.value.exit_code == 4
    said = str(caught.value)
    assert "model.int8.onnx: mean cosine" in said
    assert "model.float32.onnx" not in said
    # The constant lies on what the block gives out.
    assert said.index("  body.3: ") < said.index("--qat")
    assert "--qat" in said
    assert list(tmp_path.iterdir()) == []


def test_fine_tuned_it_passes(tmp_path: Path) -> None:
    built = hard(Tuning(steps=150))
    plain, tuned = (
        next(row for row in rows if row.model.precision == "int8")
        for rows in (hard(None).parity, built.parity)
    )
    assert not gate.passes(plain)
    assert gate.passes(tuned)
    assert tuned.agreement.cosine_mean > plain.agreement.cosine_mean
    assert tuned.method == "minmax, tuned"
    write(built, tmp_path / "b")
    assert built.manifest.training["qat_steps"] == 150
    assert built.manifest.parity["model.int8.onnx"].method == "minmax, tuned"
    # The float file stays what was trained.
    assert built.files["model.float32.onnx"] == hard(None).files["model.float32.onnx"]


def test_what_passes_is_left_alone_unless_asked() -> None:
    said: list[str] = []
    order = replace(ORDER, tuning=Tuning(steps=5))
    built = build(tiny_source(), order, said.append)
    assert any("no fine-tuning" in line for line in said)
    assert "qat_steps" not in built.manifest.training
    always = build(
        tiny_source(), replace(order, tuning=Tuning(5, always=True)), said.append
    )
    assert [row.method for row in always.tried] == ["", "minmax", "minmax, tuned"]


def test_it_learns() -> None:
    found = qat.tune(lifted(20), hard_source().calibration, "onnx", MINMAX, 60)
    assert found.after < 0.5 * found.before


def test_the_same_again() -> None:
    units = tiny_source().calibration
    once, twice = (
        qat.tune(lifted(4), units, "onnx", MINMAX, 5).network.state_dict()
        for _ in range(2)
    )
    for name, weight in once.items():
        assert torch.equal(weight, twice[name]), name


def test_the_network_that_was_trained_is_not_changed() -> None:
    network = lifted(4)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    units = tiny_source().calibration
    tuned = qat.tune(network, units, "onnx", MINMAX, 5).network
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, before[name]), name
    agreed = cosines(embed_reference(tuned, units), embed_reference(network, units))
    assert agreed.min() > 0.95
    # Nothing of the tuning is left in it.
    assert not any("parametrizations" in name for name, _ in tuned.named_parameters())
    assert Simulation(tuned, SHAPE, "onnx").places


def test_one_unit_is_learnt_from_and_tested_with() -> None:
    units = tiny_source().calibration[:1]
    assert np.isfinite(qat.tune(lifted(4), units, "onnx", MINMAX, 2).after)
