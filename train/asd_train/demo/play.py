"""The course of the demonstration, from the first sound to the verdict."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from asd_train.demo.account import Account
from asd_train.demo.agent import Agent, AgentFailed, learn
from asd_train.demo.broker import EmbeddedBroker
from asd_train.demo.listener import Listener
from asd_train.demo.story import DEVICE, Story
from asd_train.demo.view import bands, view

LINGER_S = 6.0
"""Seconds of the stream that the alarm is looked at"""
PATIENCE_S = 20.0
"""Seconds beyond the length of the stream before it is given up"""
NEXT = """\
Next, with a microphone on a machine of yours:
  asd-agent devices                            names of the microphones
then write a file asd.yaml,
  device: press-07
  sources:
    - {name: gearbox, microphone: "a name from the list"}
and while the machine runs as it should:
  asd-agent check --config asd.yaml
  asd-agent learn --config asd.yaml --minutes 15
  asd-agent --config asd.yaml"""


def play(story: Story, console: Console, bundle: Path | None = None) -> bool:
    """Tell the story; return whether the fault was detected, and nothing before it.

    Raises
    ------
    AgentFailed
        The agent could not learn, or ended early.
    """
    with TemporaryDirectory(prefix="asd-demo-") as name, EmbeddedBroker() as broker:
        folder = Path(name)
        normal, stream = folder / "normal.flac", folder / "stream.flac"
        _say(
            console,
            f"1. A {story.kind} is simulated: {story.learn_s:.0f} s of it running "
            f"well, then {story.stream_s:.0f} s in which its {story.fault} begins to "
            f"fail after {story.onset_s:.0f} s.",
        )
        story.record(normal, stream)
        config = folder / "demo.yaml"
        config.write_text(
            story.configuration(stream, folder / "state", broker.port, bundle)
        )
        _say(console, "2. $ asd-agent learn --config demo.yaml --from normal.flac")
        console.print(learn(config, normal).strip(), style="dim", soft_wrap=True)
        _say(
            console,
            "3. $ asd-agent --config demo.yaml\n"
            f"   and from here all is read from factory/{DEVICE}/# of an MQTT broker:",
        )
        account = _watch(story, console, config, broker.port)
    _verdict(story, console, account)
    return account.detected


def _watch(story: Story, console: Console, config: Path, port: int) -> Account:
    account = Account(story.onset_s)
    deadline_s = time.monotonic() + story.stream_s + PATIENCE_S
    agent = Agent(config, config.with_name("agent.log"))
    with Listener(port, DEVICE) as listener, agent, view(console, story) as screen:
        while time.monotonic() < deadline_s:
            messages = listener.take(0.25)
            for kind, payload in messages:
                account.take(kind, payload)
            screen.show(account)
            seen = account.alarm_s is not None
            if seen and account.now_s >= (account.alarm_s or 0) + LINGER_S:
                break
            if agent.ended and not messages:
                break
        if not account.moments:
            raise AgentFailed(f"the agent told nothing; its log:\n{agent.said()}")
    return account


def _verdict(story: Story, console: Console, account: Account) -> None:
    if account.delay_s is None or account.alarm is None:
        _say(console, "The fault was NOT detected.")
    elif account.delay_s < 0:
        _say(console, f"FALSE ALARM, {-account.delay_s:.1f} s before the fault began.")
    else:
        alarm = account.alarm
        _say(
            console,
            f"Detected: the alarm was raised {account.delay_s:.1f} s after the "
            f"{story.fault} began to fail, and there was none in the "
            f"{story.onset_s:.0f} s before.\n"
            f"Highest score {alarm['score_max']:.3g}, "
            f"limit {alarm['threshold']:.3g}, p-value {alarm['p_value']:.2g}.",
        )
        console.print(bands(account), soft_wrap=True)
        console.print(
            "A simulated machine shows that the software works. It says nothing "
            "about how well faults of yours will be found.",
            soft_wrap=True,
        )
    console.print(f"\n{NEXT}", highlight=False, markup=False, soft_wrap=True)


def _say(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold", highlight=False, soft_wrap=True)
