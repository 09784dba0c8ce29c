"""A push by its command, with a real broker and devices that do as told."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asd_agent.bundle.manifest import FileEntry, parse
from asd_agent.mqtt.topics import Topics
from asd_export import cli, keys, link, release, rollout
from asd_export.broker import access
from asd_export.link import Link
from support.broker import Mosquitto, Received, Subscriber, wait_for
from support.bundles import forge, reforge
from support.devices import Device, Herd

pytestmark = pytest.mark.broker
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "TICK_S", 0.02)
    monkeypatch.setattr(link, "SETTLE_S", 0.02)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed bundle `b` and its keys `factory.key`, `factory.pub`."""
    folder = tmp_path_factory.mktemp("signed")
    bundle = forge(folder / "b", embeds=True, id="pump-3", version=3)
    private, _ = keys.make(folder / "factory")
    keys.sign(bundle, keys.load(private))
    return folder


@dataclass
class Plant:
    """A broker, a bundle, and what came out of the last command."""

    broker: Mosquitto
    folder: Path
    bundle: Path
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def device(self, name: str, does: str = "commit", **more: object) -> Device:
        return Device(name, self.broker.port, does=does, **more)  # type: ignore[arg-type]

    @property
    def where(self) -> list[str]:
        return ["--host", "127.0.0.1", "--port", str(self.broker.port), "--insecure"]

    def push(self, *words: str) -> int:
        """Run the command; keep what it wrote."""
        code = cli.main(["push", str(self.bundle), *words, *self.where])
        self.out, self.err = self.capsys.readouterr()
        return code

    def members(self) -> dict[str, FileEntry]:
        return parse((self.bundle / "manifest.json").read_bytes()).files

    def seen(self, *devices: Device) -> None:
        """Let devices have been there once; they are off now."""
        with Herd(*devices), Subscriber(self.broker.port) as looker:
            for device in devices:
                looker.wait(device.topics.status)

    def resign(self) -> None:
        keys.sign(self.bundle, keys.load(self.folder / "factory.key"), replace=True)


@pytest.fixture
def plant(
    tmp_path: Path, signed: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Plant]:
    folder = tmp_path / "work"
    shutil.copytree(signed, folder)
    with Mosquitto(tmp_path) as broker:
        yield Plant(broker, folder, folder / "b", capsys)


def sent(looker: Subscriber) -> list[Received]:
    """What was published since: retained messages of before come as retained."""
    ours = ("factory/bundles/", "/bundle/desired")
    return [
        m for m in looker.messages if not m.retain and any(o in m.topic for o in ours)
    ]


def test_every_device_gets_the_very_files_that_are_sent_once(plant: Plant) -> None:
    devices = [plant.device(f"press-{i:02}") for i in range(5)]
    with Herd(*devices), Subscriber(plant.broker.port) as looker:
        trusted = ["--trusted-key", str(plant.folder / "factory.pub")]
        assert plant.push("--all", "--wait", *trusted) == 0
        topics = [message.topic for message in sent(looker)]
    files = [path.read_bytes() for path in plant.bundle.glob("*.*")]
    for device in devices:
        assert device.running == ("pump-3", 3)
        assert device.files
        assert all(content in files for content in device.files.values())
    root = Topics("factory", "none")
    shared = [root.member(entry.sha256) for entry in plant.members().values()]
    assert sorted(topics) == sorted(
        [*shared, *(d.topics.bundle_desired for d in devices)]
    )
    # No wish goes out before the last file is there.
    assert set(topics[: len(shared)]) == set(shared)
    assert "signed by factory" in plant.out
    assert "5 of 5 devices run it" in plant.out


def test_the_same_command_again_sends_nothing(plant: Plant) -> None:
    with Herd(plant.device("a"), plant.device("b")):
        assert plant.push("--all", "--wait") == 0
        with Subscriber(plant.broker.port) as looker:
            assert plant.push("--all", "--wait") == 0
            assert plant.push("--to", "a") == 0
            assert not sent(looker)
    assert plant.out.count("runs it already") == 1
    assert "0 of 2 files" in plant.out


def test_only_what_the_broker_lacks_is_sent(plant: Plant) -> None:
    # As an interrupted push leaves it, one file there and one damaged.
    first, second = plant.members()
    root = Topics("factory", "none")
    there = root.member(plant.members()[first].sha256)
    damaged = root.member(plant.members()[second].sha256)
    own = Link(
        access({"host": "127.0.0.1", "port": plant.broker.port, "insecure": True}),
        print,
    )
    own.publish(there, (plant.bundle / first).read_bytes())
    own.publish(damaged, b"half a file")
    own.flush()
    own.close()
    with Herd(plant.device("a")), Subscriber(plant.broker.port) as looker:
        assert plant.push("--to", "a", "--wait") == 0
        topics = [message.topic for message in sent(looker)]
    assert topics == [damaged, "factory/a/bundle/desired"]


def test_an_unchanged_file_of_another_bundle_is_not_sent_again(plant: Plant) -> None:
    with Herd(plant.device("a")), Subscriber(plant.broker.port) as looker:
        assert plant.push("--to", "a", "--wait") == 0
        before = len(sent(looker))
        manifest = parse((plant.bundle / "manifest.json").read_bytes())
        newer = manifest.model_copy(update={"id": "pump-4", "version": 4})
        (plant.bundle / "manifest.json").write_text(newer.model_dump_json())
        reforge(plant.bundle, "golden.safetensors", b"other golden numbers")
        plant.resign()
        assert plant.push("--to", "a", "--wait") == 0
        golden = plant.members()["golden.safetensors"].sha256
        topics = [message.topic for message in sent(looker)[before:]]
    assert topics == [f"factory/bundles/{golden}", "factory/a/bundle/desired"]


def test_a_device_that_is_off_gets_it_when_it_returns(plant: Plant) -> None:
    plant.seen(plant.device("off"))
    assert plant.push("--all") == 0
    assert "is off; it gets the bundle when it returns" in plant.out
    back = plant.device("off")
    with Herd(back):
        wait_for(lambda: back.running == ("pump-3", 3), "caught up")


def test_a_device_that_never_was_is_asked_with_a_warning(plant: Plant) -> None:
    assert plant.push("--to", "press-99") == 0
    assert "was never seen" in plant.out
    new = plant.device("press-99")
    with Herd(new):
        wait_for(lambda: new.running == ("pump-3", 3), "caught up")


def test_a_group_is_asked_and_nobody_else(plant: Plant) -> None:
    a, b = plant.device("a", groups=("line-3",)), plant.device("b", groups=("line-4",))
    c = plant.device("c", groups=("line-3", "line-5"))
    with Herd(a, b, c):
        assert plant.push("--group", "line-3", "--wait") == 0
        assert plant.push("--group", "line-9") == 2
    assert [d.running[0] for d in (a, b, c)] == ["pump-3", "default-3", "pump-3"]
    assert not b.wishes
    assert "no device is in group line-9" in plant.err
    assert "line-3, line-4, line-5" in plant.err


def test_a_device_of_another_class_is_left_alone(plant: Plant) -> None:
    manifest = parse((plant.bundle / "manifest.json").read_bytes())
    of_pi = manifest.model_copy(update={"device_class": "pi5"})
    (plant.bundle / "manifest.json").write_text(of_pi.model_dump_json())
    plant.resign()
    pi, other = plant.device("a", device_class="pi5"), plant.device("b")
    with Herd(pi, other):
        assert plant.push("--all", "--wait") == 0
        assert "is of class any, the bundle is for pi5" in plant.out
        assert (pi.running[0], other.wishes) == ("pump-3", [])
        assert plant.push("--to", "b") == 2
    assert "none of these is" in plant.err


def test_an_empty_plant_and_missing_devices_are_told(plant: Plant) -> None:
    assert plant.push("--all") == 2
    assert "no device has ever said that it is there" in plant.err
    assert plant.push() == 2
    assert "give --to, --group or --all" in plant.err


def test_nothing_is_sent_that_devices_would_refuse(
    plant: Plant, tmp_path: Path
) -> None:
    other, _ = keys.make(tmp_path / "other")
    with Subscriber(plant.broker.port) as looker:
        trusted = str(other.with_suffix(".pub"))
        assert plant.push("--to", "a", "--trusted-key", trusted) == 4
        assert "made by no trusted key" in plant.err
        (plant.bundle / "extra").touch()
        assert plant.push("--to", "a") == 4
        (plant.bundle / "extra").unlink()
        (plant.bundle / "manifest.sig").unlink()
        assert plant.push("--to", "a") == 4
        assert f"asd-export sign {plant.bundle} --key KEY" in plant.err
        assert not looker.messages
        assert plant.push("--to", "a", "--allow-unsigned") == 0
        assert "NOT SIGNED" in plant.out
        (plant.bundle / "model.float32.onnx").write_bytes(b"damaged")
        assert plant.push("--to", "a", "--allow-unsigned") == 4


def test_a_file_over_the_limit_asks_for_a_web_server(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MAX_MEMBER_BYTES", 30_000)
    assert plant.push("--to", "a") == 4
    assert "at most 30,000 go by MQTT" in plant.err
    assert "--base-url" in plant.err


def test_a_broker_with_a_smaller_limit_is_told_before_it_is_tried(
    plant: Plant, tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    with Mosquitto(tmp_path / "small", lines=("max_packet_size 50000",)) as small:
        plant.broker = small
        assert plant.push("--to", "a") == 10
    assert "takes messages of at most 50,000" in plant.err


def test_a_dry_run_shows_the_plan_and_sends_nothing(plant: Plant) -> None:
    with Herd(*map(plant.device, "abc")), Subscriber(plant.broker.port) as looker:
        looker.wait("factory/c/status")
        assert plant.push("--all", "--dry-run", "--canary", "1") == 0
        assert not sent(looker)
    assert "wave 1 of 2: a\nwave 2 of 2: b, c" in plant.out
    assert "2 of 2 files have to go to the broker" in plant.out


@pytest.mark.parametrize(
    ("does", "code", "words"),
    [
        ("roll_back not_finite", 11, "rolled_back trial not_finite"),
        ("reject differs", 11, "rejected self-test differs"),
        ("testing", 12, "not through in time: a"),
    ],
)
def test_waiting_ends_with_a_code_and_a_reason(
    plant: Plant, does: str, code: int, words: str
) -> None:
    with Herd(plant.device("a", does), plant.device("b")):
        assert plant.push("--all", "--wait", "--timeout", "0.6s") == code
    assert words in plant.out
    assert "b online committed commit runs pump-3 (3)" in plant.out


def test_what_failed_for_good_is_not_asked_again(plant: Plant) -> None:
    device = plant.device("a", "roll_back crashed")
    with Herd(device):
        assert plant.push("--to", "a", "--wait") == 11
        assert plant.push("--to", "a") == 11
        assert plant.push("--to", "a", "--wait") == 11
    assert len(device.wishes) == 1
    assert "rolled_back before (crashed): build a mended bundle" in plant.out


def test_what_can_be_mended_is_tried_again(plant: Plant) -> None:
    device = plant.device("a", "reject disk_full")
    with Herd(device) as herd:
        assert plant.push("--to", "a", "--wait") == 11
        herd.do(lambda: setattr(device, "does", "commit"))
        assert plant.push("--to", "a", "--wait") == 0
    assert "rejected before (disk_full): is asked again" in plant.out
    assert len(device.wishes) == 2


def test_a_rule_without_waves_withdraws_too(plant: Plant) -> None:
    bad, slow = plant.device("a", "roll_back hung"), plant.device("b")
    plant.seen(slow)
    with Herd(bad):
        assert plant.push("--all", "--abort-if", "rolled_back>0") == 13
    assert "stopped: rolled_back > 0 (rolled_back is 1" in plant.out
    with Herd(slow), Subscriber(plant.broker.port) as looker:
        looker.wait("factory/b/info")
    assert not slow.wishes


def test_a_canary_goes_first(plant: Plant) -> None:
    a, b, c = map(plant.device, "abc")
    with Herd(a, b, c), Subscriber(plant.broker.port) as looker:
        looker.wait("factory/c/status")
        words = ["--canary", "b", "--after", "0.2s", "--abort-if", "alarms>5"]
        assert plant.push("--all", *words) == 0
        wishes = [m.topic for m in sent(looker) if m.topic.endswith("desired")]
    assert wishes[0] == "factory/b/bundle/desired"
    assert len(wishes) == 3
    assert "wave 1 of 2: b" in plant.out
    assert "3 of 3 devices run it" in plant.out


def test_a_bad_canary_keeps_the_rest_safe(plant: Plant) -> None:
    a, b = plant.device("a", "roll_back not_finite"), plant.device("b")
    with Herd(a, b), Subscriber(plant.broker.port) as looker:
        looker.wait("factory/b/status")
        assert plant.push("--all", "--canary", "1") == 13
    assert not b.wishes
    assert "stopped: (rolled_back > 0 or rejected > 0)" in plant.out


def test_a_broker_that_refuses_a_wish_is_told(plant: Plant, tmp_path: Path) -> None:
    strict = tmp_path / "strict"
    strict.mkdir()
    (strict / "acl").write_text("user fleet\ntopic readwrite factory/bundles/#\n")
    (strict / "secret").write_text("sesame\n")
    lines = (f"acl_file {strict / 'acl'}",)
    with Mosquitto(strict, user=("fleet", "sesame"), lines=lines) as plant.broker:
        login = ["--username", "fleet", "--password-file", str(strict / "secret")]
        assert plant.push("--to", "a", *login) == 10
    assert "does not let user fleet write to factory/a/bundle/desired" in plant.err


def test_an_interrupted_wait_says_so_and_goes_on_later(plant: Plant) -> None:
    device = plant.device("a", "trial")
    command = [sys.executable, "-m", "asd_export", "push", str(plant.bundle)]
    with Herd(device) as herd:
        with subprocess.Popen(
            [*command, "--to", "a", "--wait", *plant.where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}"},
        ) as running:
            assert running.stdout
            for line in running.stdout:
                if "a online trial" in line:
                    break
            running.send_signal(signal.SIGINT)
            _, err = running.communicate()
        assert running.returncode == 130
        assert "The same command goes on where it was" in err
        assert "Traceback" not in err
        herd.do(device.commit)
        assert plant.push("--to", "a", "--wait") == 0
    assert len(device.wishes) == 1


@pytest.mark.parametrize("words", [["push", "b", "--all"], ["fleet"]])
def test_it_works_where_torch_is_not(plant: Plant, words: list[str]) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'litert_torch', 'scipy', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from asd_export.cli import main\n"
        f"sys.exit(main({[*words, *plant.where]!r}))"
    )
    with Herd(plant.device("a")), Subscriber(plant.broker.port) as looker:
        looker.wait("factory/a/status")
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=plant.folder,
            env={"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["push", "--help"]])
def test_help_loads_nothing_that_is_slow(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from asd_export.cli import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "slow = {'torch', 'rich', 'paho', 'cryptography', 'urllib3', 'yaml'}\n"
        "print(found := slow & set(sys.modules), file=sys.stderr)\n"
        "sys.exit(bool(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["push b --all", "fleet"])
def test_what_is_missing_is_told_with_the_extra_that_has_it(command: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['rich'] = None\n"
        "from asd_export.cli import main\n"
        f"sys.exit(main({command.split()!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "pip install 'asd[fleet]'" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "Press"], "'Press' is no name"),
        (["--to", "a,,b"], "'' is no name"),
        (["--all", "--after", "1w"], "'1w' is no length of time"),
        (["--all", "--canary", "0"], "no number of devices"),
        (["--all", "--waves", "1,x"], "'x' is no number"),
        (["--all", "--canary", "1", "--waves", "1"], "not allowed with"),
        (["--all", "--abort-if", "alarms=5"], "expected one of > >= < <= =="),
    ],
)
def test_wrong_arguments_are_named(plant: Plant, words: list[str], told: str) -> None:
    with pytest.raises(SystemExit) as caught:
        plant.push(*words)
    assert caught.value.code == 2
    assert told in plant.capsys.readouterr().err
