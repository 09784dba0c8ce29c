"""One broker for all tests that do not change it, and one for each that does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.deployed import Deployed

A, B, C = "press-07", "press-08", "press-09"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The shipped broker with two devices that have passwords."""
    # Writing the store at every change would take most of the time.
    made = Deployed(tmp_path_factory.mktemp("broker"), "--save-every", "3600")
    made.device(A)
    made.device(B)
    with made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Deployed]:
    """A broker for one test, which may kill it."""
    made = Deployed(tmp_path)
    made.device(A)
    made.device(C, "--certificate")
    with made:
        yield made
