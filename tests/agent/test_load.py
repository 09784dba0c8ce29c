"""Less is heard where the work does not keep up, and more again where it does."""

from asd_agent.load import SPAN_S, WIDEST, Load


def work(load: Load, seconds: int, share: float, start_s: float = 0.0) -> list[int]:
    """So many seconds of sound, each of which takes `share` seconds; the strides."""
    strides = []
    for second in range(seconds):
        if load.push(1.0, share, start_s + second * max(1.0, share)):
            strides.append(load.stride)
    return strides


def test_what_keeps_up_is_left_alone() -> None:
    load = Load()
    assert work(load, 600, 0.95) == []
    assert load.share is not None
    assert abs(load.share - 0.95) < 1e-9
    assert not load.degraded


def test_a_minute_that_is_too_slow_halves_the_work() -> None:
    load = Load()
    assert work(load, 49, 1.2) == []
    assert work(load, 10, 1.2, 49 * 1.2) == [2]
    assert load.degraded
    assert "of 2 units one is heard" in load.sentence(1.2)


def test_a_short_stall_changes_nothing() -> None:
    load = Load()
    work(load, 30, 0.3)
    assert not load.push(1.0, 20.0, 50.0)
    assert work(load, 100, 0.3, 51.0) == []


def test_it_widens_to_the_end_and_no_further() -> None:
    load = Load()
    assert work(load, 2_000, 20.0) == [2, 4, 8]
    assert load.stride == WIDEST


def test_it_narrows_again_where_there_is_time_for_it() -> None:
    load = Load()
    work(load, 200, 3.0)
    strides = work(load, 1_000, 0.1, 10_000.0)
    assert strides[-1] == 1
    assert not load.degraded
    assert "every unit" in load.sentence(0.1)


def test_it_does_not_go_back_to_what_was_too_much() -> None:
    """Half the work at twice the stride: 0.6 there is 1.2 here."""
    load = Load()
    work(load, 100, 1.2)
    assert load.stride == 2
    assert work(load, 1_000, 0.6, 1_000.0) == []


def test_nothing_is_known_before_a_minute() -> None:
    load = Load()
    assert load.share is None
    assert work(load, int(SPAN_S / 5), 5.0) == []
