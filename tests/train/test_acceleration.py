"""What is faster computes the same."""

import copy

import pytest
import torch
from torch import Tensor, nn

from asd_agent.errors import ConfigError
from asd_train import acceleration
from asd_train.acceleration import Task, blocked_layout, make_task, place
from asd_train.distributed import ALONE
from asd_train.losses import ArcFace
from asd_train.models import NetworkSpec, build_network
from asd_train.recipe import TrainingSpec

CPU = torch.device("cpu")
SHAPE = (64, 32)
NETWORKS = [
    NetworkSpec(name="mobilefacenet", activation="prelu", embedding=16),
    NetworkSpec(name="mobilefacenet", embedding=16),
    NetworkSpec(name="mobilenetv2", activation="prelu", embedding=16),
    NetworkSpec(name="mobilenetv2", embedding=16),
    NetworkSpec(name="two_branch", embedding=16, centred=True),
]


def _network(spec: NetworkSpec) -> nn.Module:
    torch.manual_seed(2)
    return build_network(spec, SHAPE).train()


def _learnt(network: nn.Module, units: Tensor) -> tuple[Tensor, Tensor]:
    wanted = torch.randn(len(units), 16, generator=torch.Generator().manual_seed(3))
    out: Tensor = network(units)
    loss = (out * wanted).mean()
    loss.backward()  # type: ignore[no-untyped-call]  # stubs lack it
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return out.detach(), torch.cat(gradients)


@pytest.mark.parametrize("spec", NETWORKS, ids=str)
def test_the_blocked_layout_learns_the_same(spec: NetworkSpec) -> None:
    units = torch.randn(6, 1, *SHAPE, generator=torch.Generator().manual_seed(1))
    plain, blocked = _network(spec), _network(spec)
    expected = _learnt(plain.double(), units.double())
    with blocked_layout(blocked, CPU):
        found = _learnt(blocked, units)
    torch.testing.assert_close(found[0], expected[0].float(), rtol=1e-3, atol=1e-3)
    same = torch.cosine_similarity(found[1].double(), expected[1], dim=0)
    assert same > 0.999
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(
            blocked.get_buffer(name).double(), buffer.double(), rtol=1e-3, atol=1e-4
        )


def test_the_layout_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    real = acceleration._enter

    def enter(stage: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        entered.append(1)
        return real(stage, arguments)

    monkeypatch.setattr(acceleration, "_enter", enter)
    network, units = _network(NETWORKS[1]), torch.randn(2, 1, *SHAPE)
    with blocked_layout(network, CPU):
        network(units)
    assert entered == [1]
    network(units)
    assert entered == [1]


def test_relu6_keeps_torchs_own_layout() -> None:
    network = _network(NETWORKS[3])
    with blocked_layout(network, CPU):
        assert not any(m._forward_pre_hooks for m in network.modules())
    place(network, CPU)
    weight = next(network.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_a_cpu_computes_in_float32() -> None:
    spec = TrainingSpec(steps=1, precision="bfloat16")
    head = ArcFace(16, 3, 30.0, 0.3)
    task = make_task(_network(NETWORKS[1]), head, spec, CPU, ALONE)
    assert isinstance(task, Task)
    assert not task.mixed


def test_bfloat16_learns_nearly_the_same_with_weights_in_float32() -> None:
    network, head = _network(NETWORKS[1]).eval(), ArcFace(16, 3, 30.0, 0.3)
    labels = torch.tensor([0, 1, 2, 0])
    units, shares = torch.randn(4, 1, *SHAPE), torch.ones(4)
    losses = {}
    for half in (False, True):
        task = Task(copy.deepcopy(network), copy.deepcopy(head), half)
        loss, right = task(units, labels, labels, shares)
        loss.backward()
        assert 0 <= right <= 1
        assert {p.grad.dtype for p in task.parameters() if p.grad is not None} == {
            torch.float32
        }
        losses[half] = loss.item()
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.1)


def test_compiling_without_a_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    spec = TrainingSpec(steps=1, compile=True)
    head = ArcFace(16, 3, 30.0, 0.3)
    with pytest.raises(ConfigError, match=r"training\.compile .* no C\+\+ compiler"):
        make_task(_network(NETWORKS[1]), head, spec, CPU, ALONE)
