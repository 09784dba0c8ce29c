"""The command line: what it does, what it returns, and what it says when it cannot."""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import asd_agent
from asd_agent.cli import _parser, main
from support.agents import RATE_HZ, WINDOW, Agent, agent
from support.bundles import GOLDEN, SMALL
from support.sounds import noise, wav, whine


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


@pytest.fixture
def taught(made: Agent, capsys: pytest.CaptureFixture[str]) -> Agent:
    assert main(["learn", "--config", str(made.file), "--from", str(made.normal)]) == 0
    capsys.readouterr()
    return made


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command; give its exit code, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return code, output, errors

    return run


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but what a running agent writes of itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "agent.lock" and "coverage" not in path.parts
    }


def test_learn_replay_and_check(made: Agent, say: Say) -> None:
    code, output, _ = say("learn", "--config", made.file, "--from", made.normal.parent)
    assert code == 0
    assert output.startswith("pump: learnt 30 s of sound, 77 windows that do not")
    assert output.endswith(f"written: {made.site}\n")
    code, output, errors = say("replay", "--config", made.file, made.tape)
    assert (code, errors) == (0, "")
    records = [json.loads(line) for line in output.splitlines()]
    assert [r["state"] for r in records if r["changed"]] == ["normal", "anomalous"]
    code, output, errors = say(
        "replay", "--config", made.file, "--per-file", made.tape, made.normal
    )
    assert (code, errors) == (0, "")
    first, second = (json.loads(line) for line in output.splitlines())
    assert list(first) == ["file", "score", "p_value", "state", "windows"]
    assert (first["file"], first["state"]) == (str(made.normal), "normal")
    assert (second["file"], second["state"]) == (str(made.tape), "anomalous")
    before = tree(made.folder)
    code, output, _ = say("check", "--config", made.file)
    assert code == 0
    assert output.splitlines() == [
        "bundle forged-1 version 1: whole, unsigned, allowed, "
        f"{made.folder / 'bundle'}",
        "member member-0: golden numbers agree, numpy",
        f"state_dir {made.folder / 'state'}: can be written",
        "source pump: 1 recordings",
        output.splitlines()[-1],
    ]
    assert output.splitlines()[-1].startswith("source pump: learnt 0.5 min on 20")
    assert tree(made.folder) == before


def test_learn_from_the_source_for_some_minutes(made: Agent, say: Say) -> None:
    made.configure(recording=str(made.normal), loop=True)
    code, output, _ = say("learn", "--config", made.file, "--minutes", "0.75")
    assert code == 0
    assert output.startswith("pump: learnt 45 s of sound")


def test_check_says_what_is_not_learnt_yet(made: Agent, say: Say) -> None:
    code, output, _ = say("check", "--config", made.file)
    assert code == 0
    assert output.endswith(
        "source pump: not learnt yet; the agent takes its first 15 min as normal\n"
    )


def test_the_agent_runs_to_the_end_of_its_recordings(taught: Agent, say: Say) -> None:
    assert say("--config", taught.file)[0] == 0


BAD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no-audio": lambda path: path.write_bytes(b"hello, world\n" * 99),
    "only-a-header": lambda path: wav(path, noise(0), RATE_HZ),
    "not-a-number": lambda path: wav(
        path, np.where(np.arange(9000) == 7000, np.nan, 0.1).astype("f4"), RATE_HZ
    ),
    "infinite": lambda path: wav(
        path, np.where(np.arange(9000) == 7000, np.inf, 0.1).astype("f4"), RATE_HZ
    ),
    "beyond-measure": lambda path: wav(path, noise(9000, level=1e30), RATE_HZ),
    "a-folder": lambda path: path.mkdir(),
    "shorter-than-a-unit": lambda path: wav(
        path, noise(SMALL.unit_samples - 1), RATE_HZ
    ),
}


def _truncated(folder: Path) -> Path:
    path = wav(folder / "bad.flac", noise(20_000), RATE_HZ, "PCM_16")
    path.write_bytes(path.read_bytes()[:9_000])
    return path


@pytest.fixture(params=[*BAD, "truncated", "missing"])
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A recording that cannot be used, in a folder of its own."""
    folder = tmp_path / "bad"
    folder.mkdir()
    if request.param == "truncated":
        return _truncated(folder)
    if request.param != "missing":
        BAD[request.param](folder / "bad.wav")
    return folder / "bad.wav"


def test_a_bad_recording_is_no_traceback(
    taught: Agent, bad: Path, say: Say, request: pytest.FixtureRequest
) -> None:
    before = tree(taught.folder / "state")
    for words in (
        ["learn", "--config", taught.file, "--from", taught.normal, bad],
        ["replay", "--config", taught.file, bad],
        ["replay", "--config", taught.file, "--per-file", bad],
    ):
        code, _, errors = say(*words)
        assert code == 3
        assert str(bad) in errors
        assert len(errors.splitlines()) == 1
    taught.configure(recording=str(bad))
    code, _, errors = say("--config", taught.file)
    if request.node.callspec.params["bad"] == "shorter-than-a-unit":
        assert code == 0  # a tape that ends is no fault of the agent
    else:
        assert code == 3
        assert str(bad) in errors
    assert tree(taught.folder / "state") == before


@pytest.mark.parametrize("path", ["x" * 300, "a**b.wav", "nowhere/*.wav", "*/" * 200])
def test_a_path_that_cannot_be_is_no_traceback(
    taught: Agent, path: str, say: Say
) -> None:
    for words in (["replay"], ["replay", "--per-file"], ["learn", "--from"]):
        code, _, errors = say(*words, path, "--config", taught.file)
        assert code == 3
        assert errors.startswith(path[:20])


def test_one_bad_file_does_not_keep_the_others_from_being_scored(
    taught: Agent, say: Say
) -> None:
    folder = taught.folder / "monday"
    wav(folder / "a.wav", noise(SMALL.unit_samples - 1), RATE_HZ)
    wav(folder / "b.wav", noise(WINDOW - 1), RATE_HZ)
    (folder / "c.wav").write_bytes(b"")
    wav(folder / "d.wav", whine(WINDOW, RATE_HZ), RATE_HZ)
    code, output, errors = say("replay", "--config", taught.file, "--per-file", folder)
    assert code == 3
    scored = [json.loads(line) for line in output.splitlines()]
    assert [Path(r["file"]).name for r in scored] == ["b.wav", "d.wav"]
    assert all(r["score"] is not None for r in scored)
    refused = errors.splitlines()
    assert f"{folder / 'a.wav'}: is shorter than one unit" in refused[0]
    assert str(folder / "c.wav") in refused[1]


@pytest.mark.parametrize("verb", ["check", "learn", "replay", "run"])
@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        ("bundle", 4, GOLDEN),
        ("manifest", 4, "manifest.json"),
        ("state", 5, "state"),
        ("site", 5, "forged-1.safetensors"),
        ("config", 2, "did you mean device?"),
        ("no-config", 2, "cannot be read"),
        ("device", 3, "no-such-microphone"),
    ],
)
def test_damage_is_told_and_nothing_is_half_written(
    *, taught: Agent, say: Say, verb: str, damage: str, code: int, words: str
) -> None:
    _damage(taught, damage)
    before = tree(taught.folder)
    command = {
        "check": ["check"],
        "learn": ["learn", "--minutes", "0.1"],
        "replay": ["replay", str(taught.tape)],
        "run": [],
    }[verb]
    if (verb, damage) == ("learn", "site"):
        # Learning again is what mends it.
        assert say(*command, "--config", taught.file)[0] == 0
        assert say("check", "--config", taught.file)[0] == 0
        return
    if (verb, damage) in (("replay", "device"), ("run", "device")):
        return  # replay asks no device; the agent waits for it (test_service)
    found, output, errors = say(*command, "--config", taught.file)
    assert found == code
    assert words in errors
    if verb != "check":
        assert output == ""
    assert tree(taught.folder) == before


def _damage(made: Agent, what: str) -> None:
    if what == "bundle":
        golden = made.folder / "bundle" / GOLDEN
        content = bytearray(golden.read_bytes())
        content[5000] ^= 1
        golden.write_bytes(content)
    elif what == "manifest":
        (made.folder / "bundle" / "manifest.json").write_text("{}")
    elif what == "state":
        # Permissions would not stop root: below a plain file nobody can write.
        text = made.file.read_text()
        below = made.tape / "state"
        made.file.write_text(text.replace(str(made.folder / "state"), str(below)))
    elif what == "site":
        made.site.write_bytes(made.site.read_bytes()[:1000])
    elif what == "config":
        made.file.write_text(made.file.read_text().replace("device:", "devise:"))
    elif what == "no-config":
        made.file.unlink()
    else:
        made.configure(recording=None, pace=None, microphone="no-such-microphone")


@pytest.mark.parametrize(
    ("key", "content"),
    [("password_file", b"\xffhunter2"), ("tls: {ca", b"hunter2")],
)
def test_secrets_that_cannot_be_used_are_2_and_not_shown(
    made: Agent, say: Say, key: str, content: bytes
) -> None:
    secret = made.folder / "secret"
    secret.write_bytes(content)
    end = "}}" if "{" in key else "}"
    with made.file.open("a") as file:
        file.write(f"mqtt: {{host: broker, username: u, {key}: {secret}{end}\n")
    code, output, errors = say("check", "--config", made.file)
    assert code == 2
    assert str(secret) in errors
    assert "hunter2" not in output + errors
    secret.write_text("hunter2\n")
    if "password" in key:
        code, output, errors = say("check", "--config", made.file)
        assert output.endswith("mqtt broker:8883: secrets can be read\n")
        assert (code, "hunter2" in output + errors) == (0, False)


def test_a_state_folder_that_nobody_may_look_into(taught: Agent, say: Say) -> None:
    text = taught.file.read_text()
    taught.file.write_text(text.replace("/state", "/" + "x" * 300))
    code, _, errors = say("replay", "--config", taught.file, taught.tape)
    assert code == 5
    assert "set state_dir" in errors


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["learn"],
        ["dance"],
        ["learn", "--config", "x", "--minutes", "0"],
        ["learn", "--config", "x", "--minutes", "nan"],
        ["learn", "--config", "x", "--minutes", "soon"],
        ["learn", "--config", "x", "--minutes", "1", "--from", "y"],
        ["learn", "--config", "x"],
        ["replay", "--config", "x"],
        ["replay", "--config", "x", "--per-fail", "y"],
        ["check"],
        ["check", "--config"],
    ],
)
def test_a_wrong_command_line_is_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as exit_:
        code = int(str(exit_.code))
    output, errors = capsys.readouterr()
    assert code == 2
    assert errors.startswith("asd-agent")
    assert output == ""


def test_a_source_must_be_named_where_there_are_several(
    taught: Agent, say: Say
) -> None:
    text = taught.file.read_text()
    two = f"sources:\n- {{name: fan, recording: {taught.normal}}}\n"
    taught.file.write_text(text.replace("sources:\n", two))
    words = ["replay", "--config", taught.file, taught.tape]
    assert say(*words)[0] == 2
    assert "say --source with one of fan, pump" in say(*words)[2]
    assert say(*words, "--source", "pump")[0] == 0
    assert say(*words, "--source", "fan")[0] == 5
    assert say(*words, "--source", "drum")[0] == 2


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _parsers(command)


def test_every_help_shows_examples_that_parse_and_the_exit_codes() -> None:
    parsers = list(_parsers(_parser()))
    assert [p.prog for p in parsers] == [
        "asd-agent",
        "asd-agent check",
        "asd-agent learn",
        "asd-agent replay",
        "asd-agent devices",
        "asd-agent coverage",
        "asd-agent doctor",
        "asd-agent bundle",
        "asd-agent bundle list",
        "asd-agent bundle verify",
        "asd-agent bundle install",
        "asd-agent bundle rollback",
    ]
    for parser in parsers:
        text = parser.format_help()
        examples = re.findall(r"^  (asd-agent .*)$", parser.epilog or "", re.M)
        assert examples
        for example in examples:
            assert example in text
            assert example.startswith(parser.prog)
            args = _parser().parse_args(shlex.split(example)[1:])
            assert callable(args.command)
        for code in range(7):
            assert re.search(rf"\b{code}  \w", text)


@pytest.mark.parametrize(
    "verb",
    [
        *([], ["check"], ["learn"], ["replay"], ["devices"], ["bundle"]),
        *(["bundle", verb] for verb in ("list", "verify", "install", "rollback")),
    ],
)
def test_help_is_there_for_every_command(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*verb, "--help"])
    assert exit_.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"{asd_agent.__version__}\n"


def test_an_interrupt_is_130(
    taught: Agent, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = tree(taught.folder)
    monkeypatch.setattr("asd_agent.learn.Learner.site", interrupted)
    words = ["learn", "--config", taught.file, "--from", taught.normal]
    assert say(*words)[0] == 130
    assert tree(taught.folder) == before


def test_a_reader_that_has_gone_is_no_error(taught: Agent) -> None:
    agent_folder = Path(asd_agent.__file__).parents[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "asd_agent", "replay"),
            *("--config", taught.file, taught.tape),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(agent_folder)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(10), errors) == (0, b"")


def test_matrix_products_take_one_thread() -> None:
    """The other threads of OpenBLAS wait by spinning, a fifth of a core on two."""
    program = """
import os, sys
from asd_agent.cli import main
assert "numpy" not in sys.modules
main(["check", "--config", "nowhere.yaml"])
import numpy as np
bank = np.ones((10_000, 128), np.float32)
bank @ bank[0]
bank[:2000] @ bank.T
print(len(os.listdir("/proc/self/task")))
"""
    agent_folder = Path(asd_agent.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(agent_folder)},
    )
    assert done.stdout == "1\n"
