"""A bar for a person, and nothing for a file."""

import io

from asd_agent import progress
from asd_agent.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_sees_how_far_it_is() -> None:
    screen = Terminal()
    with Progress(screen, "learning", 4, "files") as bar:
        bar.add(1)
        bar.add(3)
    *_, last = screen.getvalue().split("\r")
    assert last == f"learning [{'#' * progress.WIDTH}] 4 of 4 files \n"


def test_an_interrupted_bar_shows_where_it_stopped() -> None:
    screen = Terminal()
    with Progress(screen, "learning", 100, "s") as bar:
        bar.reach(25)
    assert screen.getvalue().endswith("25 of 100 s \n")
    assert "#" * 6 + "." * 18 in screen.getvalue()


def test_a_file_or_a_pipe_gets_nothing() -> None:
    screen = io.StringIO()
    with Progress(screen, "learning", 0, "files") as bar:
        bar.add(1)
    assert screen.getvalue() == ""
