"""What a person sees: a table that moves in a terminal, lines elsewhere."""

import io
from dataclasses import replace

import pytest

from asd_export.device import Device
from asd_export.fleet import Fleet
from asd_export.screen import Screen
from asd_export.tally import Tally
from support.messages import told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "12")


def plant(**states: str) -> tuple[Fleet, Tally]:
    fleet = Fleet("factory")
    tally = Tally(fleet, "pump-3")
    for name, state in states.items():
        device = told(state=state, reason="hung" if state == "rolled_back" else None)
        fleet.devices[name] = replace(device, name=name, online=True)
        tally.ask(name, anew=False)
    return fleet, tally


def test_a_pipe_gets_a_line_for_each_change() -> None:
    fleet, tally = plant(a="downloading", b="trial")
    out = io.StringIO()
    screen = Screen(fleet, out)
    screen.show(tally, "wave 1 of 2")
    screen.show(tally, "wave 1 of 2; more")
    fleet.devices["b"] = replace(
        told(state="rolled_back", reason="hung", detail="it took too long"), name="b"
    )
    screen.show(tally, "wave 1 of 2")
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == [
        "a online downloading fetch runs old (1)",
        "b online trial fetch runs old (1)",
        "b unknown rolled_back fetch hung (it took too long) runs old (1)",
    ]


def test_a_pipe_gets_no_bar_but_a_line() -> None:
    out = io.StringIO()
    with Screen(Fleet("factory"), out).bar("2 files to the broker", 1_500_000) as told:
        told(700_000)
    assert out.getvalue() == "sending 2 files to the broker, 1,500,000 bytes\n"


def test_a_terminal_gets_a_table_and_what_is_said_above_it() -> None:
    fleet, tally = plant(a="downloading", b="rolled_back")
    out = Terminal()
    screen = Screen(fleet, out)
    screen.show(tally, "wave 1 of 2")
    screen.say("[red]connected again[/red]")
    screen.close()
    text = out.getvalue()
    for words in ("device", "33", "old (1)", "hung", "wave 1 of 2", "rolled_back"):
        assert words in text
    assert "[red]connected again[/red]" in text


def test_a_terminal_gets_a_bar() -> None:
    out = Terminal()
    with Screen(Fleet("factory"), out).bar("2 files", 1_000_000) as told:
        told(500_000)
        told(9_000_000)
    assert "1.0/1.0 MB" in out.getvalue()


def test_where_not_all_fit_those_that_are_at_it_are_seen() -> None:
    calm = {f"a{i:02}": "committed" for i in range(50)}
    fleet, tally = plant(**calm, z="rolled_back")
    for name in calm:
        fleet.devices[name] = Device(name)
    out = Terminal()
    screen = Screen(fleet, out)
    screen.show(tally, "")
    screen.close()
    first = out.getvalue().split("device", 1)[1].splitlines()[1]
    assert first.startswith("z")


def test_no_device_can_write_to_the_terminal_or_use_its_markup() -> None:
    fleet, tally = plant(a="downloading")
    bad = told(
        reason="\x1b]0;owned\x07[bold]x", running={"id": "\x1b[2J", "version": 1}
    )
    fleet.devices["a"] = replace(bad, name="a", info=None)
    for out in (io.StringIO(), Terminal()):
        screen = Screen(fleet, out)
        screen.show(tally, "")
        screen.close()
        assert "\x1b]0" not in out.getvalue()
        assert "\x1b[2J" not in out.getvalue()
        assert "[bold]x" in out.getvalue()
