"""No secret is in anything that comes out of the agent."""

from pathlib import Path

import pytest

from faults.secrets_table import Surface, surfaces
from faults.transport_rows import Site


@pytest.mark.broker
def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    """``python -m faults.secrets_table`` prints the table."""
    names = set()
    with Site(tmp_path) as site:
        for surface, secrets in surfaces(tmp_path, site, whole=False):
            assert not surface.shows(secrets), surface.name
            assert surface.raw or surface.name.startswith("metrics"), surface.name
            names.add(surface.name)
    assert {"what was published", "files of the agent", "check"} <= names
    assert {"file for support, right password"} <= names
    assert any(name.startswith("error about") for name in names)


def test_the_table_sees_a_secret() -> None:
    assert Surface("log", b"the password is hunter2").shows([b"hunter2", b"other"])
