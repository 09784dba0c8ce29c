"""Waves through a fleet: the canary first, time to watch it, and a way back."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from asd_export import keys, link, release, rollout, rule
from asd_export.broker import access
from asd_export.fleet import Fleet
from asd_export.link import Link
from asd_export.monitor import Monitor
from asd_export.plan import plan
from asd_export.rollout import Outcome, Rollout, Terms, Wave
from asd_export.sender import Cargo, Sender
from asd_export.tally import Tally
from asd_export.waves import parse_waves, split
from support.broker import Mosquitto, Subscriber, wait_for
from support.bundles import forge
from support.devices import Device, Herd

pytestmark = pytest.mark.broker
DAY_S = 86_400.0
BAD = rule.parse("rolled_back>0 or rejected>0")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "TICK_S", 0.02)
    monkeypatch.setattr(link, "SETTLE_S", 0.02)


class Screen:
    """Remembers what was said; lets a test act each time that it looks."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.titles: list[str] = []
        self.sent: list[str] = []
        self.acts: list[Callable[[Tally], object]] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def show(self, tally: Tally, title: str) -> None:
        self.titles.append(title)
        for act in self.acts:
            act(tally)

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        self.sent.append(title)
        yield lambda _: None


class Site:
    """A broker, a signed bundle, and a clock that a test turns."""

    def __init__(self, port: int, bundle: Path) -> None:
        self.port = port
        self.ahead_s = 0.0
        where = {"host": "127.0.0.1", "port": port, "insecure": True}
        self.access = access(where)
        self.cargo = Cargo(release.check(bundle))
        self.screen = Screen()

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.ahead_s)

    def devices(self, **does: str) -> list[Device]:
        return [Device(name, self.port, does=what) for name, what in does.items()]

    def run(self, names: Sequence[str], counts: str, **terms: object) -> Outcome:
        """Roll out as the command does."""
        self.screen = Screen() if not self.screen.acts else self.screen
        fleet = Fleet("factory")
        sender = Sender(self.access, fleet)
        with sender.connected() as own:
            sender.look(own, names)
            sender.look_for_files(own, self.cargo)
        found = [fleet[name] for name in names]
        rows = plan(found, self.cargo.release.manifest, self.cargo.wish)
        send = {row.name for row in rows if row.action == "send"}
        waves = [
            Wave(wave, frozenset(wave) & send)
            for wave in split(found, self.cargo.id, parse_waves(counts))
        ]
        defaults: dict[str, object] = {"rule": BAD, "timeout_s": 5.0}
        return Rollout(
            sender,
            self.cargo,
            Terms(**(defaults | terms)),  # type: ignore[arg-type]
            self.screen,
            lambda: Monitor(self.access, fleet.hear, self.screen.say),
            now=self.now,
        ).run(waves)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rollout")
    found = forge(folder / "b", id="pump-3", version=3)
    private, _ = keys.make(folder / "factory")
    keys.sign(found, keys.load(private))
    return found


@pytest.fixture
def site(tmp_path: Path, bundle: Path) -> Iterator[Site]:
    with Mosquitto(tmp_path) as broker:
        yield Site(broker.port, bundle)


@contextlib.contextmanager
def present(*devices: Device) -> Iterator[Herd]:
    """Devices that have said that they are there."""
    with Herd(*devices) as herd, Subscriber(devices[0].port) as looker:
        for device in devices:
            looker.wait_body(device.topics.status, b"online")
        yield herd


def test_the_next_wave_waits_for_the_canary_and_for_the_time(site: Site) -> None:
    a, b, c = site.devices(a="commit", b="commit", c="commit")
    asked_early = []

    def watch(tally: Tally) -> None:
        if tally.settled(["a"]) and site.ahead_s < DAY_S:
            asked_early.append(len(b.wishes) + len(c.wishes))
            site.ahead_s += 30
            if len(asked_early) == 5:
                site.ahead_s = DAY_S + 1

    site.screen.acts.append(watch)
    with present(a, b, c):
        outcome = site.run("abc", "1", after_s=DAY_S)
    assert outcome is Outcome.DONE
    assert asked_early == [0] * 5
    assert [d.running[0] for d in (a, b, c)] == ["pump-3"] * 3
    assert "wave 1 of 2: all through, next wave in 1 d" in site.screen.said
    assert any("next wave in 23 h 59 min" in title for title in site.screen.titles)
    assert len(site.screen.sent) == 1


def test_waves_grow(site: Site) -> None:
    names = "abcdef"
    devices = site.devices(**dict.fromkeys(names, "commit"))
    with present(*devices):
        assert site.run(names, "1,3,100%") is Outcome.DONE
    told = [line for line in site.screen.said if line.startswith("wave")]
    assert [line.partition(":")[2] for line in told if "through" not in line] == [
        " a",
        " b, c",
        " d, e, f",
    ]


@pytest.mark.parametrize("does", ["roll_back not_finite", "reject differs"])
def test_a_bad_bundle_ends_at_the_canary(site: Site, does: str) -> None:
    a, b = site.devices(a=does, b="commit")
    with present(a, b):
        assert site.run("ab", "1") is Outcome.STOPPED
        wait_for(lambda: a.wishes[-1:] == [b""], "withdrawn")
        assert a.running == ("default-3", 1)
        # The same again: it is known to be bad, and nothing goes out.
        for counts in ("1", "100%"):
            assert site.run("ab", counts) is Outcome.STOPPED
            assert not site.screen.sent
    assert not b.wishes
    assert len(a.wishes) == 2
    # What the device tells of it stays to be read.
    with Subscriber(site.port, "factory/a/bundle/state") as looker:
        told = looker.wait("factory/a/bundle/state")[0].json()
    assert told["bundle"]["id"] == "pump-3"


def test_a_wish_that_nobody_has_begun_gives_way_to_the_one_before(
    site: Site, tmp_path: Path
) -> None:
    a, off, new = site.devices(a="roll_back hung", off="commit", new="commit")
    with present(off, new):
        pass
    older = forge(tmp_path / "older", id="pump-2", version=2)
    before = Cargo(release.check(older, allow_unsigned=True)).wish
    own = Link(site.access, print, sends=True)
    for device in (a, off):
        own.publish(device.topics.bundle_desired, before)
    own.flush()
    own.close()
    with present(a):
        assert site.run(["a", "new", "off"], "100%") is Outcome.STOPPED
        # Its answer to an old wish would take the place of what it tells now.
        wait_for(lambda: a.wishes == [before, site.cargo.wish, b""], "nothing wished")
    # After it, the one that was off returns and finds what was wished before.
    with present(off, new):
        wait_for(lambda: len(off.wishes) == 1, "the wish of before")
    assert off.wishes == [before]
    assert not new.wishes
    assert "withdrawn from a, new, off" in site.screen.said


def test_who_runs_it_keeps_it(site: Site) -> None:
    good, tries, bad = site.devices(a="commit", b="trial", c="trial")
    with present(good, tries, bad) as herd:

        def crash(tally: Tally) -> None:
            """Once it is known how the others do."""
            if [tally.phase(name) for name in "abc"] == ["committed", "trial", "trial"]:
                herd.do(lambda: bad.report("rolled_back", "trial", "crashed"))

        site.screen.acts.append(crash)
        assert site.run("abc", "100%") is Outcome.STOPPED
        wait_for(lambda: bad.wishes[-1:] == [b""], "withdrawn")
    assert good.wishes == tries.wishes == [site.cargo.wish]
    assert "withdrawn from c" in site.screen.said
    assert "a, b keep it or decide by themselves" in site.screen.said


def test_alarms_of_the_new_bundle_end_it(site: Site) -> None:
    a, b = site.devices(a="commit", b="commit")
    with present(a, b) as herd:
        herd.do(lambda: a.alarm("pump", "before"))

        def ring(tally: Tally) -> None:
            if tally.committed(["a"]) and len(site.screen.titles) > 10:
                count = tally.counts()["alarms"]
                herd.do(lambda: a.alarm("gearbox", f"e{count}"))

        site.screen.acts.append(ring)
        terms = {"after_s": DAY_S, "rule": rule.parse("alarms>2")}
        assert site.run("ab", "1", **terms) is Outcome.STOPPED
    assert not b.wishes
    assert a.running == ("pump-3", 3)
    assert any("alarms is 3" in line for line in site.screen.said)


def test_a_wave_that_takes_nothing_ends_it_whatever_the_rule(site: Site) -> None:
    a, b = site.devices(a="reject no_runtime", b="commit")
    with present(a, b):
        terms = {"rule": rule.parse("rolled_back>5")}
        assert site.run("ab", "1", **terms) is Outcome.STOPPED
    assert "stopped: no device of this wave took the bundle" in site.screen.said
    assert not b.wishes


def test_a_failure_that_the_rule_allows_is_told_in_the_end(site: Site) -> None:
    devices = site.devices(a="commit", b="roll_back hung", c="commit")
    with present(*devices):
        terms = {"rule": rule.parse("rolled_back>1")}
        assert site.run("abc", "2", **terms) is Outcome.FAILED
    assert devices[2].running[0] == "pump-3"


def test_a_wave_that_is_not_through_in_time_ends_and_goes_on_later(
    site: Site,
) -> None:
    a, b = site.devices(a="trial", b="commit")
    with present(a, b) as herd:
        assert site.run("ab", "1", timeout_s=0.3) is Outcome.LATE
        assert not b.wishes
        herd.do(a.commit)
        assert site.run("ab", "1") is Outcome.DONE
    # The canary was not asked twice, and the files were not sent again.
    assert len(a.wishes) == len(b.wishes) == 1
    assert not site.screen.sent


def test_the_time_that_has_passed_counts_after_an_interruption(site: Site) -> None:
    a, b = site.devices(a="commit", b="commit")
    with present(a, b):

        def interrupt(tally: Tally) -> None:
            if tally.committed(["a"]):
                raise KeyboardInterrupt

        site.screen.acts.append(interrupt)
        with pytest.raises(KeyboardInterrupt):
            site.run("ab", "1", after_s=DAY_S)
        site.screen = Screen()
        site.ahead_s = DAY_S + 1
        assert site.run("ab", "1", after_s=DAY_S) is Outcome.DONE
    assert b.running[0] == "pump-3"


def test_files_that_the_broker_lost_are_sent_anew(site: Site) -> None:
    a, b = site.devices(a="commit", b="commit")
    lost: list[str] = []

    def lose(tally: Tally) -> None:
        if tally.committed(["a"]) and not lost:
            own = Link(site.access, print, sends=True)
            for entry in site.cargo.release.members.values():
                lost.append(a.topics.member(entry.sha256))
                own.publish(lost[-1], b"")
            own.flush()
            own.close()

    site.screen.acts.append(lose)
    with present(a, b):
        assert site.run("ab", "1") is Outcome.DONE
    assert lost
    assert len(site.screen.sent) == 2


def test_files_that_a_waiting_device_lacks_are_sent_though_it_was_asked(
    site: Site,
) -> None:
    (a,) = site.devices(a="commit")
    own = Link(site.access, print, sends=True)
    own.publish(a.topics.bundle_desired, site.cargo.wish)
    own.flush()
    own.close()
    with present(a):
        assert site.run("a", "100%") is Outcome.DONE
    assert len(a.wishes) == 1


def test_without_waiting_it_ends_when_all_are_asked(site: Site) -> None:
    (a,) = site.devices(a="trial")
    with present(a):
        assert site.run("a", "100%", wait=False) is Outcome.DONE
        assert not site.screen.titles
        wait_for(lambda: len(a.wishes) == 1, "asked")


def test_names_in_a_sentence_are_few() -> None:
    assert rollout.shown([]) == "no device"
    assert rollout.shown(["b", "a"]) == "a, b"
    many = [f"d{i}" for i in range(12)]
    assert rollout.shown(many).endswith(" and 4 more")
