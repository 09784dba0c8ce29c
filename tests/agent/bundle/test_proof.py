"""What a test has shown, for a program and for a person."""

import math

import pytest

from asd_agent.bundle.proof import NAMES, Proof, Row
from asd_agent.errors import BundleError

GOOD = Row("net", "m.onnx", "onnxruntime 1", "score", 0.01, 0.02)
BAD = Row("net", "m.onnx", "onnxruntime 1", "vector", 0.5, 0.1)
NONE = Row("net", "m.onnx", "onnxruntime 1", "vector", math.nan, 0.1)
PLAIN = Row("levels", "", "numpy", "features", 0.3, 0.1)


def test_only_what_is_within_is_well() -> None:
    assert GOOD.ok
    assert not BAD.ok
    assert not NONE.ok
    assert Proof((GOOD,)).ok
    assert not Proof((GOOD, NONE)).ok
    Proof((GOOD,)).require()


@pytest.mark.parametrize(
    ("row", "words", "reason"),
    [
        (BAD, r"unit vectors of m\.onnx differ by 0\.5", "differs"),
        (NONE, r"unit vectors of m\.onnx differ by nan", "not_finite"),
        (PLAIN, r"features of levels differ by 0\.3", "differs"),
        (
            Row("net", "m.onnx", "onnxruntime 1", "loads", math.nan, 0, "no such op"),
            "^no such op$",
            "broken",
        ),
    ],
)
def test_the_first_that_differs_is_told(row: Row, words: str, reason: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        Proof((GOOD, row, BAD)).require()
    assert caught.value.reason == reason


def test_as_a_table() -> None:
    assert list(Proof((GOOD, PLAIN, NONE)).lines()) == [
        "model       runs with      compared  differs by  allowed",
        "net m.onnx  onnxruntime 1  score     0.01        0.02     ok",
        "levels      numpy          features  0.3         0.1      DIFFERS",
        "net m.onnx  onnxruntime 1  vector    nan         0.1      DIFFERS",
    ]


def test_every_kind_has_a_name() -> None:
    assert {row.what for row in (GOOD, BAD, PLAIN)} <= set(NAMES)
