"""The account on a screen: a live picture on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from asd_train.demo import chart
from asd_train.demo.account import Account
from asd_train.demo.story import DEVICE, Story

COLOURS = {
    "learning": "cyan",
    "normal": "green",
    "anomalous": "bold white on red",
    "no_signal": "yellow",
    "mic_suspect": "yellow",
    "fault": "yellow",
}
LINE_S = 5.0
"""Seconds of the stream between two plain lines"""
MAX_WIDTH = 110
TALL = 30
"""Rows of a terminal that has room for every band"""


class View(Protocol):
    """Shows an account as it grows."""

    def show(self, account: Account) -> None:
        """Show what is new."""
        ...


@contextmanager
def view(console: Console, story: Story) -> Iterator[View]:
    """Open the view that suits the console."""
    if not console.is_terminal:
        yield Lines(console, story)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield Picture(live, story)


class Picture:
    """A live picture on a terminal."""

    def __init__(self, live: Live, story: Story) -> None:
        self._live = live
        self._story = story

    def show(self, account: Account) -> None:
        """Draw it anew."""
        size = self._live.console.size
        width = min(size.width, MAX_WIDTH) - chart.MARGIN - 1
        rows = 12 if size.height >= TALL else 6
        self._live.update(picture(account, self._story, width, rows))


def picture(account: Account, story: Story, width: int, rows: int) -> Group:
    """Compose the picture."""
    span_s = story.stream_s
    mark = f"the {story.fault} begins to fail"
    return Group(
        headline(account, story),
        Text("sound", "bold"),
        *chart.spectrogram(account.slices, span_s, width, rows),
        Text("distance from normal, in multiples of the limit", "bold"),
        *chart.scores(account.moments, span_s, width),
        chart.axis(span_s, width, story.onset_s, mark),
        numbers(account),
        bands(account),
    )


def headline(account: Account, story: Story) -> Text:
    """Name the source and say its state."""
    state = account.moments[-1].state if account.moments else "starting"
    return Text.assemble(
        f"factory/{DEVICE}/{story.kind} ",
        (f" {state} ", COLOURS.get(state, "dim")),
        (f"  {chart.clock(account.now_s)}  agent {account.status}", "dim"),
    )


def numbers(account: Account) -> Text:
    """Give the numbers of the newest decision."""
    if not account.moments:
        return Text("waiting for the first decision", "dim")
    newest = account.moments[-1]
    text = (
        f"score {_figure(newest.score)}  limit {_figure(newest.threshold)}  "
        f"p-value {_figure(newest.p_value)}"
    )
    if account.health:
        text += f"  memory {account.health['rss_bytes'] / 1e6:.0f} MB"
    return Text(text)


def bands(account: Account) -> Text:
    """Say which frequencies differ, once there is an alarm."""
    if account.alarm is None:
        return Text()
    told = ", ".join(
        f"{band['lo_hz']:.0f}-{band['hi_hz']:.0f} Hz {band['delta_db']:+.1f} dB"
        for band in account.alarm["bands"]
    )
    return Text(f"unlike the nearest normal sound: {told}", "red")


class Lines:
    """Plain lines: on every change of state, and every few seconds."""

    def __init__(self, console: Console, story: Story) -> None:
        self._console = console
        self._story = story
        self._told = 0
        self._state = ""
        self._due_s = 0.0

    def show(self, account: Account) -> None:
        """Print what is worth a line of the decisions that are new."""
        for moment in account.moments[self._told :]:
            changed = moment.state != self._state
            if not changed and moment.time_s < self._due_s:
                continue
            self._state = moment.state
            self._due_s = moment.time_s + LINE_S
            failing = moment.time_s >= self._story.onset_s
            line = (
                f"{chart.clock(moment.time_s)}  {moment.state:10}  "
                f"score {_figure(moment.score):8}  "
                f"limit {_figure(moment.threshold):8}  "
                f"p-value {_figure(moment.p_value):8}"
            )
            note = f"  (the {self._story.fault} is failing)" if failing else ""
            self._console.print(line + note, highlight=False, soft_wrap=True)
        self._told = len(account.moments)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
