"""What a device has lost, by the clock alone."""

import pytest

from asd_agent.capture.loss import NONE, Loss, LossWatch

RATE_HZ = 10_000


def run(
    watch: LossWatch, seconds: float, start_s: float, rate_hz: float = RATE_HZ
) -> list[Loss]:
    """Sound in pieces of 0.1 s, as a clock that starts at `start_s` sees it."""
    count = round(seconds * 10)
    return [
        watch.push(round(rate_hz / 10), start_s + (i + 1) / 10) for i in range(count)
    ]


def total(losses: list[Loss]) -> int:
    return sum(loss.samples for loss in losses)


@pytest.mark.parametrize("rate_hz", [9_800, 9_999, 10_000, 10_001, 10_200])
def test_sound_that_comes_steadily_is_whole(rate_hz: int) -> None:
    """Also at a rate that is a little off: that is told elsewhere."""
    assert set(run(LossWatch(RATE_HZ), 600, 0.0, rate_hz)) == {NONE}


@pytest.mark.parametrize("lost_s", [0.5, 1.0, 30.0])
def test_a_pause_is_a_gap_at_once_and_its_length_soon_after(lost_s: float) -> None:
    watch = LossWatch(RATE_HZ)
    run(watch, 5, 0.0)
    after = run(watch, 3, 5.0 + lost_s)
    assert after[0] == Loss(gap=True)
    assert total(after) == pytest.approx(lost_s * RATE_HZ, abs=0.1 * RATE_HZ)
    assert total(run(watch, 60, 8.0 + lost_s)) == 0


def test_what_is_only_late_is_not_lost() -> None:
    watch = LossWatch(RATE_HZ)
    run(watch, 5, 0.0)
    late = [
        watch.push(3_000, 8.0),
        *[watch.push(3_000, 8.0 + i / 50) for i in range(9)],
    ]
    assert late[0] == Loss(gap=True)  # nobody can know yet
    late += run(watch, 5, 8.0)
    assert total(late) == 0


def test_a_device_that_says_so_is_believed() -> None:
    watch = LossWatch(RATE_HZ)
    run(watch, 5, 0.0)
    assert watch.push(1_000, 5.35, flagged=True) == Loss(gap=True)
    after = run(watch, 2, 5.35)
    assert total(after) == pytest.approx(2_500, abs=100)


def test_bursts_at_the_start_are_no_loss() -> None:
    """A sound server hands out what it has buffered, at once."""
    watch = LossWatch(RATE_HZ)
    losses = [watch.push(1_000, 2.0) for _ in range(5)]
    assert total(losses + run(watch, 20, 2.0)) == 0


def test_several_losses_add_up() -> None:
    watch, told, at_s = LossWatch(RATE_HZ), 0, 0.0
    for _ in range(10):
        told += total(run(watch, 10, at_s))
        at_s += 11.5
    told += total(run(watch, 3, at_s))
    assert told == pytest.approx(10 * 15_000, rel=0.02)
