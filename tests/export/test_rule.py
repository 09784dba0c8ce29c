"""Rules that end a rollout: what they mean, and where a wrong one is wrong."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.errors import ConfigError
from asd_export import rule
from asd_export.rule import NAMES, parse

NONE = dict.fromkeys(NAMES, 0)

comparisons = st.builds(
    lambda name, sign, number: f"{name}{sign}{number}",
    st.sampled_from(NAMES),
    st.sampled_from([">", ">=", "<", "<=", "==", " > ", " == "]),
    st.integers(0, 20),
)
rules = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"{a} and {b}", inner, inner),
        st.builds(lambda a, b: f"{a} or {b}", inner, inner),
        st.builds(lambda a: f"({a})", inner),
    ),
    max_leaves=8,
)
counts = st.fixed_dictionaries({name: st.integers(0, 20) for name in NAMES})


@given(rules, counts)
def test_a_rule_means_what_it_means_in_python(
    text: str, found: Mapping[str, int]
) -> None:
    # Python has the same words, signs and precedence; the text is made above.
    meant = eval(text, {"__builtins__": {}}, dict(found))  # noqa: S307
    assert parse(text).holds(found) is bool(meant)


@given(rules, counts)
def test_a_rule_that_is_shown_means_the_same(
    text: str, found: Mapping[str, int]
) -> None:
    once = parse(text)
    assert parse(str(once)).holds(found) == once.holds(found)


@given(st.text(max_size=60) | st.text("()<>= andorlmsx_019", max_size=60))
def test_any_text_is_a_rule_or_a_mistake_with_a_place(text: str) -> None:
    try:
        parse(text).holds(NONE)
    except ConfigError as error:
        head, shown, pointer = str(error).split("\n")
        assert "expected" in head
        assert pointer.strip() == "^"
        assert len(pointer) <= len(shown) + 1


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("rolled_back>>0", 12, "a whole number"),
        ("rolled>0", 0, "one of rolled_back, rejected"),
        ("alarms 5", 7, "one of > >= < <= =="),
        ("alarms>5 xor offline>1", 9, "'and', 'or' or the end"),
        ("alarms>5 or", 11, "one of rolled_back"),
        ("(alarms>5", 9, "')'"),
        ("alarms>-1", 7, "a whole number"),
        ("alarms>1.5", 8, "'and', 'or' or the end"),
        ("", 0, "one of rolled_back"),
        ("alarms>5 AND offline>1", 9, "'and', 'or' or the end"),
        ("__import__('os')>0", 0, "one of rolled_back"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, at: int, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    head, shown, pointer = str(caught.value).split("\n")
    assert expected in head
    assert shown == f"  {text}"
    assert pointer.index("^") - 2 == at


def test_the_place_is_seen_in_a_long_rule_too() -> None:
    text = " or ".join(["alarms>5"] * 10) + " or nonsense>1"
    with pytest.raises(ConfigError) as caught:
        parse(text)
    _, shown, pointer = str(caught.value).split("\n")
    assert shown[pointer.index("^") :].startswith("nonsense")


def test_a_rule_has_an_end() -> None:
    deep = "(" * rule.MAX_DEPTH + "alarms>5" + ")" * rule.MAX_DEPTH
    assert parse(deep).holds({**NONE, "alarms": 6})
    with pytest.raises(ConfigError, match=f"at most {rule.MAX_DEPTH} '\\('"):
        parse(f"({deep})")
    with pytest.raises(ConfigError, match=f"at most {rule.MAX_CHARACTERS}"):
        parse("alarms>5 or " * 50 + "alarms>5")
    assert not parse(f"alarms>{'9' * 480}").holds(NONE)
