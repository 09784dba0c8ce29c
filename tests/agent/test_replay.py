"""Replay is the running agent on recordings, tape by tape or file by file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.bundle.site import Site
from asd_agent.capture.recording import Recording
from asd_agent.errors import SiteError, SoundError
from asd_agent.features.spec import SecomSpec
from asd_agent.judge import Judge
from asd_agent.mqtt.clock import Anchor
from asd_agent.replay import Record, decision_record, file_record, replay, tape_records
from asd_agent.scoring.decision import Decision
from asd_agent.scoring.pooling import PoolingSpec
from asd_agent.setup import members_of, open_bundle, pipeline_of, site_path
from asd_agent.teach import teach
from asd_agent.worker import Worker
from support.agents import RATE_HZ, WINDOW, Agent, agent, ear_of
from support.bundles import SMALL, forge
from support.sounds import noise, wav, whine


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    made = agent(tmp_path_factory.mktemp("replay"))
    config = made.config()
    teach(config, config.sources[0], [str(made.normal)], None, io.StringIO())
    return made


def records(made: Agent, *paths: Path, per_file: bool) -> list[Any]:
    config = made.config()
    names = [str(path) for path in paths]
    screen = io.StringIO()
    return list(
        replay(config, config.sources[0], names, per_file=per_file, screen=screen)
    )


def test_a_tape_has_a_record_for_every_decision(taught: Agent) -> None:
    found = records(taught, taught.tape, per_file=False)
    assert len(found) == SMALL.units_in(6 * RATE_HZ)
    json.dumps(found, allow_nan=False)
    states = [record["state"] for record in found if record["changed"]]
    assert states == ["normal", "anomalous"]
    raised = next(r for r in found if r["state"] == "anomalous")
    assert 3 < raised["time_s"] < 4
    assert raised["event"]["since_sample"] / RATE_HZ == pytest.approx(
        raised["time_s"], abs=1e-3
    )
    assert raised["event"]["explanation"]["bands"][0]["lo_hz"] < 700
    assert found[0] == {
        "time_s": 0.176,
        "score": found[0]["score"],
        "threshold": found[0]["threshold"],
        "p_value": found[0]["p_value"],
        "state": "learning",
        "changed": False,
        "windows": 0,
        "level_dbfs": pytest.approx(-20, abs=1),
        "gap": True,
        "event": None,
    }


def test_replay_is_what_the_running_agent_decides(taught: Agent) -> None:
    config = taught.config()
    decided: list[Record] = []

    def emit(_: Worker, decision: Decision, __: Anchor) -> None:
        decided.append(decision_record(decision, RATE_HZ))

    source = config.sources[0]
    worker = Worker(config, source, ear_of(config, source), emit)
    worker.run()
    assert worker.error is None
    assert decided == records(taught, taught.tape, per_file=False)


def test_several_files_are_one_tape(taught: Agent, tmp_path: Path) -> None:
    sound, rate_hz = soundfile.read(taught.tape, dtype="float32")
    parts = [
        wav(tmp_path / f"{i}.wav", part, rate_hz)
        for i, part in enumerate(np.split(sound, [777, 9_000]))
    ]
    whole = records(taught, taught.tape, per_file=False)
    assert records(taught, *reversed(parts), per_file=False) == whole


def test_a_file_of_one_window_scores_as_the_tape_does(
    taught: Agent, tmp_path: Path
) -> None:
    file = wav(tmp_path / "one.wav", whine(WINDOW, RATE_HZ), RATE_HZ)
    (record,) = records(taught, file, per_file=True)
    last = records(taught, file, per_file=False)[-1]
    assert not last["gap"]
    assert record == {
        "file": str(file),
        "score": last["score"],
        "p_value": last["p_value"],
        "state": "anomalous",
        "windows": 1,
    }


def test_ten_seconds_are_one_window_of_the_default_bundle(tmp_path: Path) -> None:
    """18 units of 1.12 s every 0.512 s: 9.824 s; the evaluator's one score a file."""
    made = agent(tmp_path)
    forge(tmp_path / "default", SecomSpec(), PoolingSpec())
    text = made.file.read_text().replace("/bundle", "/default")
    made.file.write_text(text)
    config = made.config()
    normal = wav(tmp_path / "n.wav", noise(25 * 16_000), 16_000)
    teach(config, config.sources[0], [str(normal)], None, io.StringIO())
    file = wav(tmp_path / "ten.wav", noise(160_000, seed=5), 16_000)
    (record,) = records(made, file, per_file=True)
    tape = records(made, file, per_file=False)
    assert len(tape) == 18
    assert record["windows"] == 1
    assert [r["windows"] for r in tape] == [0] * 17 + [1]
    assert (record["score"], record["p_value"]) == (
        tape[-1]["score"],
        tape[-1]["p_value"],
    )


def test_the_worst_window_speaks_for_a_file(taught: Agent) -> None:
    (record,) = records(taught, taught.tape, per_file=True)
    tape = records(taught, taught.tape, per_file=False)
    windows = counted(tape)
    assert record["windows"] == len(windows) > 10
    worst = max(windows, key=lambda r: r["score"])
    assert record["score"] == worst["score"]
    assert record["p_value"] == pytest.approx(worst["p_value"] * len(windows))
    assert record["state"] == "anomalous"


def test_the_p_value_of_a_file_is_valid(taught: Agent, tmp_path: Path) -> None:
    """Of many normal files no more than a share p have a p-value under p."""
    config = taught.config()
    members = members_of(config, open_bundle(config))
    site = Site.load(site_path(config, config.sources[0], "forged-1"), members)
    judge = Judge(members, site, alpha=0.01)
    p_values = []
    for seed in range(60):
        file = wav(tmp_path / "f.wav", noise(3 * WINDOW, seed=100 + seed), RATE_HZ)
        p_values.append(file_record(judge, members, file, 0)["p_value"])
    assert np.mean(np.array(p_values) <= 0.2) < 0.2 + 3 * np.sqrt(0.2 * 0.8 / 60)


def test_a_file_shorter_than_a_window_is_scored(taught: Agent, tmp_path: Path) -> None:
    file = wav(tmp_path / "short.wav", noise(WINDOW - 1), RATE_HZ)
    (record,) = records(taught, file, per_file=True)
    assert record["windows"] == 1
    assert record["score"] is not None


def test_files_are_heard_each_on_its_own(taught: Agent, tmp_path: Path) -> None:
    files = [
        wav(tmp_path / f"{i}.wav", noise(WINDOW + 300, seed=i), RATE_HZ)
        for i in range(3)
    ]
    together = records(taught, tmp_path, per_file=True)
    alone = [r for file in files for r in records(taught, file, per_file=True)]
    assert together == alone


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("silent", "no_signal"),
        ("silent-at-the-end", "no_signal"),
        ("clipped", "mic_suspect"),
        ("short-clipped", "mic_suspect"),
        ("normal", "normal"),
        ("wrong", "anomalous"),
    ],
)
def test_the_state_of_a_file(
    taught: Agent, tmp_path: Path, name: str, state: str
) -> None:
    well = noise(2 * WINDOW, seed=31)
    loud = well.copy()
    loud[10:15] = np.copysign(1, loud[10:15])  # over 1 % of the first tenth
    # No window that counts ends with a unit that is silent in part.
    cut = well[: 14 * SMALL.shift_samples]
    sound = {
        "silent": np.zeros(2 * WINDOW, np.float32),
        "silent-at-the-end": np.concatenate([cut, np.zeros(WINDOW, np.float32)]),
        "clipped": loud,
        "short-clipped": loud[: WINDOW - 1],
        "normal": well,
        "wrong": whine(2 * WINDOW, RATE_HZ),
    }[name]
    (record,) = records(taught, wav(tmp_path / "f.wav", sound, RATE_HZ), per_file=True)
    assert record["state"] == state
    assert (record["score"] is None) == (name == "silent")


def test_a_file_shorter_than_a_unit_is_refused_and_the_others_scored(
    taught: Agent, tmp_path: Path
) -> None:
    tiny = wav(tmp_path / "a.wav", noise(SMALL.unit_samples - 1), RATE_HZ)
    good = wav(tmp_path / "b.wav", noise(WINDOW), RATE_HZ)
    broken = tmp_path / "c.wav"
    broken.write_bytes(b"no sound")
    first, second, third = records(taught, tmp_path, per_file=True)
    assert isinstance(first, SoundError)
    assert str(first) == f"{tiny}: is shorter than one unit of 0.18 s; record more"
    assert second["file"] == str(good)
    assert isinstance(third, SoundError)
    assert str(broken) in str(third)
    with pytest.raises(SoundError, match=r"a\.wav: is shorter than one unit"):
        records(taught, tiny, per_file=False)


def test_one_unit_can_be_a_window(tmp_path: Path) -> None:
    made = agent(tmp_path)
    forge(tmp_path / "fast", pooling=PoolingSpec(units=1))
    made.file.write_text(made.file.read_text().replace("/bundle", "/fast"))
    config = made.config()
    teach(config, config.sources[0], [str(made.normal)], None, io.StringIO())
    file = wav(tmp_path / "f.wav", noise(SMALL.unit_samples, seed=3), RATE_HZ)
    (record,) = records(made, file, per_file=True)
    assert record["windows"] == 1
    longer = wav(tmp_path / "g.wav", noise(RATE_HZ, seed=3), RATE_HZ)
    (record,) = records(made, longer, per_file=True)
    assert record["windows"] == SMALL.units_in(RATE_HZ)


@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_a_network_and_statistics_decide_together(tmp_path: Path, combine: str) -> None:
    """Learnt, replayed and running: one bundle of both, the same on every way."""
    made = agent(tmp_path)
    folder = tmp_path / "both"
    features = SMALL.model_copy(
        update={"mean_db": (-45.0,) * SMALL.bands, "std_db": (6.0,) * SMALL.bands}
    )
    forge(folder, features, embeds=True, statistics=True, combine=combine)
    made.file.write_text(made.file.read_text().replace("/bundle", "/both"))
    config = made.config()
    teach(config, config.sources[0], [str(made.normal)], None, io.StringIO())
    tape = records(made, made.tape, per_file=False)
    states = [record["state"] for record in tape if record["changed"]]
    assert states == ["normal", "anomalous"]
    assert all(record["score"] >= 0 for record in tape)
    for record in tape[6:]:
        assert (record["score"] > record["threshold"]) == (
            record["p_value"] <= pipeline_alpha(made)
        )
    (record,) = records(made, made.tape, per_file=True)
    windows = counted(tape)
    worst = max(windows, key=lambda r: r["score"])
    assert record["score"] == worst["score"]
    assert record["p_value"] == pytest.approx(worst["p_value"] * len(windows))


def pipeline_alpha(made: Agent) -> float:
    config = made.config()
    members = members_of(config, open_bundle(config))
    site = Site.load(site_path(config, config.sources[0], "forged-1"), members)
    return pipeline_of(config, members, site).alpha


def counted(tape: list[Record]) -> list[Record]:
    """Records of windows that count."""
    return [
        now
        for last, now in zip([{"windows": 0}, *tape], tape, strict=False)
        if now["windows"] > last["windows"]
    ]


def test_nothing_learnt_is_said_before_anything_is_heard(tmp_path: Path) -> None:
    made = agent(tmp_path)
    for per_file in (False, True):
        with pytest.raises(SiteError, match="Run asd-agent learn"):
            records(made, made.tape, per_file=per_file)


def test_a_tape_is_read_at_its_own_rate(taught: Agent, tmp_path: Path) -> None:
    config = taught.config()
    members = members_of(config, open_bundle(config))
    site = Site.load(site_path(config, config.sources[0], "forged-1"), members)
    file = wav(tmp_path / "f.wav", noise(44_100), 44_100)
    found = list(
        tape_records(pipeline_of(config, members, site), members, Recording(file))
    )
    assert found[-1]["time_s"] == pytest.approx(1, abs=0.07)
