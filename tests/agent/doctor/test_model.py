"""The bundle: whole, trusted, right, and fast enough."""

import logging
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.member import Member, open_members
from asd_agent.config import Config
from asd_agent.doctor import model
from asd_agent.doctor.finding import Grade
from asd_agent.errors import BundleError
from support.agents import Agent, agent, know
from support.bundles import forge


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


def test_a_good_bundle(made: Agent) -> None:
    bundle, findings = model.open_it(made.config())
    found = list(findings)
    assert bundle.manifest.id == "forged-1"
    assert [f.grade for f in found] == [Grade.OK, Grade.WARN]
    assert found[0].text.startswith("forged-1 version 1: whole, unsigned, allowed, ")
    assert found[1].subject == "signature"
    members, rest = model.open_members(made.config(), bundle)
    (agrees,) = rest
    assert agrees.text == "member-0: golden numbers agree, numpy"
    assert 0 <= float(agrees.figures["share_of_allowed"] or 0) < 1
    assert len(members) == 1


@pytest.mark.parametrize("reason", ["hung", "crashed"])
def test_a_model_that_crashes_or_hangs(made: Agent, reason: str) -> None:
    bundle, _ = model.open_it(made.config())
    own = made.config().bundle
    worse = {
        "hung": own.model_copy(update={"test_timeout_s": 0.05}),
        "crashed": own.model_copy(update={"test_memory_bytes": 30_000_000}),
    }
    config = made.config().model_copy(update={"bundle": worse[reason]})
    with pytest.raises(BundleError) as refused:
        model.open_members(config, bundle)
    assert refused.value.reason in (reason, "error")


def test_a_bundle_that_was_altered(made: Agent) -> None:
    golden = made.folder / "bundle" / "golden.safetensors"
    golden.write_bytes(golden.read_bytes() + b"x")
    with pytest.raises(BundleError):
        model.open_it(made.config())


def config(folder: Path) -> Config:
    return Config.model_validate(
        {
            "device": "press-07",
            "state_dir": str(folder),
            "sources": [{"name": "pump", "recording": "/srv/a.wav"}],
        }
    )


def test_a_bundle_that_is_passed_over_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    state = '{"v": 1, "current": "lost-1", "previous": null, "trial": null}'
    (bundles / "state.json").write_text(state)
    bundle, findings = model.open_it(config(tmp_path))
    found = list(findings)
    assert bundle.path == DEFAULT_BUNDLE
    assert [f.grade for f in found] == [Grade.WARN, Grade.OK]
    assert found[0].text.startswith("bundle lost-1 is passed over: ")
    assert caplog.text == ""


def test_warnings_are_logged_again_afterwards(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("asd_agent.anything")
    with model.warnings_heard() as heard:
        log.warning("for %s", "us")
        log.info("for nobody")
    log.warning("for all")
    assert heard == ["for us"]
    assert [record.message for record in caplog.records] == ["for all"]


def opened(folder: Path) -> list[Member]:
    return open_members(Bundle.open(forge(folder)))


def test_the_speed_is_really_measured(tmp_path: Path) -> None:
    members = opened(tmp_path / "bundle")
    took_s = model.time_units(members)
    assert len(took_s) == model.TIMED
    assert all(0 < one < 5 for one in took_s)


def test_a_slow_model_is_not_timed_for_ever(tmp_path: Path) -> None:
    members = opened(tmp_path / "bundle")
    clock = iter(range(0, 1000, 4))
    took_s = model.time_units(members, lambda: float(next(clock)))
    assert 1 <= len(took_s) < model.TIMED


@pytest.mark.parametrize(
    ("unit_ms", "sources", "grade", "text"),
    [
        (1.6, 1, Grade.OK, "1 source takes 2.5 % of a core, 40 x real time"),
        (1.6, 4, Grade.OK, "4 sources take 10.0 % of a core, 10 x real time"),
        (40.0, 1, Grade.WARN, "1 source takes 62.5 % of a core, 1.6 x real time"),
        (40.0, 2, Grade.FAIL, "125.0 % of a core, 0.8 x real time: too slow, windows"),
    ],
)
def test_the_speed(
    tmp_path: Path, unit_ms: float, sources: int, grade: Grade, text: str
) -> None:
    members = opened(tmp_path / "bundle")  # a unit every 64 ms
    found = model.speed(members, sources, [unit_ms / 1000] * 3, beside=False)
    assert found.grade is grade
    assert text in found.text
    assert found.exit_code == (4 if grade is Grade.FAIL else 0)
    beside = model.speed(members, sources, [0.0016], beside=True)
    assert beside.text.endswith("measured beside the running agent")


def learnt(made: Agent) -> tuple[Grade, str]:
    bundle, _ = model.open_it(made.config())
    members, _ = model.open_members(made.config(), bundle)
    source = made.config().sources[0]
    (found,) = model.learnt_of(made.config(), source, bundle, members)
    return found.grade, found.text


def test_what_was_learnt(made: Agent) -> None:
    text = "not learnt yet; the agent takes its first 15 min as normal"
    assert learnt(made) == (Grade.OK, text)
    know(made, made.folder / "bundle")
    assert learnt(made)[1].startswith("learnt 0.5 min on 2026-")


def test_what_was_learnt_with_another_bundle(made: Agent) -> None:
    know(made, forge(made.folder / "other", id="forged-2"))
    grade, text = learnt(made)
    assert grade is Grade.WARN
    assert text == "was learnt with another bundle, and its sound was not kept"
