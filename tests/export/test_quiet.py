"""Chatter is dropped unless the work fails; other warnings are kept."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from asd_export.quiet import UNAVOIDABLE, quiet


def test_nothing_is_shown_where_all_goes_well(
    capfd: pytest.CaptureFixture[str],
) -> None:
    print("before")
    with quiet():
        subprocess.run([sys.executable, "-c", "print('child')"], check=True)
        os.write(1, b"native out\n")
        os.write(2, b"native err\n")
    print("after")
    out, err = capfd.readouterr()
    assert out == "before\nafter\n"
    assert err == ""


def test_a_failure_shows_what_was_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet():
            os.write(1, b"native out\n")
            os.write(2, b"native err\n")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    print("after")
    out, err = capfd.readouterr()
    assert out == "after\n"
    assert err == "native out\nnative err\n"


def test_python_text_is_kept_back_too() -> None:
    code = (
        "import sys\n"
        "from asd_export.quiet import quiet\n"
        "print('before')\n"
        "with quiet():\n"
        "    print('inside')\n"
        "    print('inside', file=sys.stderr)\n"
        "print('after')\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "before\nafter\n"
    assert done.stderr == ""


def test_only_named_warnings_are_ignored() -> None:
    with quiet():
        for category, message in UNAVOIDABLE:
            warnings.warn(message + " and more", category, stacklevel=1)
        with pytest.warns(UserWarning, match="news"):
            warnings.warn("news", UserWarning, stacklevel=1)


def test_descriptors_are_given_back() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(5):
        with quiet():
            pass
    assert count() == before
