"""Who goes first, how long is waited, and how both are written."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.errors import ConfigError
from asd_export import duration, waves
from asd_export.device import BundleName, Device, Info, Progress, Wish
from asd_export.waves import Steps, parse_canary, parse_waves, split

NEW = "pump-3"
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def device(name: str, *, online: bool = True, runs: str = "old") -> Device:
    info = Info(
        agent="0.1.0",
        runtime="onnx",
        bundle=BundleName(id=runs, version=1),
        started=NOON,
    )
    return Device(name, online, info)


def told(one: Device, state: str, minutes: int = 0) -> Device:
    progress = Progress.model_validate(
        {
            "ts": NOON + timedelta(minutes=minutes),
            "state": state,
            "step": "commit",
            "bundle": {"id": NEW, "version": 3},
            "running": {"id": NEW, "version": 3},
        }
    )
    return replace(one, progress=progress)


PLANT = [device(f"press-{i:02}") for i in range(10)]


def test_all_at_once_where_nothing_is_said() -> None:
    assert split(PLANT, NEW, Steps()) == (tuple(d.name for d in PLANT),)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1", [1, 9]),
        ("1,5", [1, 4, 5]),
        ("1,50%,100%", [1, 4, 5]),
        ("25%", [3, 7]),
        ("1%", [1, 9]),
        ("10", [10]),
        ("100%", [10]),
        ("500", [10]),
        ("5,3,8", [5, 3, 2]),
        ("1,1,2", [1, 1, 8]),
    ],
)
def test_waves_grow_to_all(text: str, sizes: list[int]) -> None:
    found = split(PLANT, NEW, parse_waves(text))
    assert [len(wave) for wave in found] == sizes
    assert [name for wave in found for name in wave] == [d.name for d in PLANT]


@given(
    st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=6),
    st.integers(1, 40),
)
def test_nobody_is_left_out_or_asked_twice(
    counts: list[tuple[int, bool]], size: int
) -> None:
    plant = [device(f"d{i}", online=i % 3 > 0) for i in range(size)]
    found = split(plant, NEW, Steps(counts=tuple(counts)))
    names = [name for wave in found for name in wave]
    assert sorted(names) == sorted(d.name for d in plant)
    assert all(found)


def test_named_canaries_go_first() -> None:
    found = split(PLANT[:3], NEW, parse_canary("press-02, press-01"))
    assert found == (("press-02", "press-01"), ("press-00",))
    alone = split(PLANT[:1], NEW, parse_canary("press-00"))
    assert alone == (("press-00",),)
    with pytest.raises(ConfigError, match="press-77"):
        split(PLANT, NEW, parse_canary("press-77"))


def test_a_number_prefers_who_is_online() -> None:
    plant = [device("a", online=False), device("b"), device("c")]
    assert split(plant, NEW, parse_canary("1")) == (("b",), ("c", "a"))


def test_a_rollout_goes_on_with_the_same_canary() -> None:
    plant = [device("a"), device("b"), device("c")]
    # The canary was `c`: it is asked, at it, has committed, or has failed.
    wish = Wish(NEW, 3, frozenset(), b"")
    for canary in (
        replace(plant[2], wish=wish),
        told(plant[2], "testing"),
        told(plant[2], "rolled_back"),
        told(device("c", runs=NEW), "committed"),
    ):
        found = split([*plant[:2], canary], NEW, parse_canary("1"))
        assert found[0] == ("c",)


def test_the_first_to_commit_stays_the_canary() -> None:
    early = told(device("z", runs=NEW), "committed", 1)
    late = told(device("a", runs=NEW), "committed", 2)
    assert split([late, early], NEW, parse_canary("1"))[0] == ("z",)


@pytest.mark.parametrize("text", ["", "0", "101%", "1,,2", "one", "-1", "1.5", "²"])
def test_what_is_no_number_of_devices_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number of devices"):
        parse_waves(text)


def test_a_canary_is_a_number_or_names() -> None:
    assert parse_canary("2") == Steps(counts=((2, False),))
    assert parse_canary("a,b,a") == Steps(canaries=("a", "b"))
    for text in ("0", "a,,b", ""):
        with pytest.raises(ValueError, match="number"):
            parse_canary(text)
    with pytest.raises(ValueError, match="at most"):
        parse_waves(",".join(["1"] * (waves.MAX_WAVES + 1)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("1.5h", 5400)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1w", "1e3s", "367d", "1h30m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no length of time|more than a year"):
        duration.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.6, "1 min"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (3665, "1 h 1 min"),
        (86_400, "1 d"),
        (93_784, "1 d 2 h"),
        (86_460, "1 d"),
    ],
)
def test_lengths_of_time_are_shown_by_two_units(seconds: float, text: str) -> None:
    assert duration.shown(seconds) == text


@given(st.integers(1, 366 * 86_400))
def test_what_is_shown_is_near(seconds: int) -> None:
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    words = duration.shown(seconds).split()
    read = sum(int(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))
    assert read <= seconds < read + max(60, seconds // 20)
