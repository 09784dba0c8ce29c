"""Push and fleet with the shipped broker: TLS, access rules, one connection a user."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent.mqtt import payloads
from asd_agent.mqtt.topics import Topics
from asd_export import cli, keys
from support.bundles import forge
from support.deployed import Deployed
from support.messages import INFO

pytestmark = pytest.mark.broker
DEVICE = "press-07"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    made = Deployed(tmp_path_factory.mktemp("shipped"))
    made.device(DEVICE)
    with made:
        yield made


def where(broker: Deployed, user: str) -> list[str]:
    """The file that docs/fleet.md describes, for one user."""
    path = broker.folder / f"{user}.yaml"
    password = broker.folder / "users" / user / "mqtt-password"
    path.write_text(
        f"host: localhost\nport: {broker.port}\nusername: {user}\n"
        f"password_file: {password}\ntls:\n  ca: {broker.ca}\n"
    )
    return ["--broker", str(path)]


def test_the_exporter_may_do_what_it_needs(
    broker: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = forge(tmp_path / "b", id="pump-3", version=3)
    private, public = keys.make(tmp_path / "factory")
    keys.sign(bundle, keys.load(private))
    topics = Topics("factory", DEVICE)
    own = where(broker, "exporter")
    with broker.client(DEVICE) as device:
        device.publish(topics.status, payloads.ONLINE.encode(), retain=True)
        device.publish(topics.info, payloads.encode(INFO), retain=True)
        push = ["push", str(bundle), "--group", "line-3", "--trusted-key", str(public)]
        assert cli.main([*push, *own]) == 0
        golden = (bundle / "golden.safetensors").read_bytes()
        sent = json.loads((bundle / "manifest.json").read_bytes())
        member = topics.member(sent["files"]["golden.safetensors"]["sha256"])
        for topic in (topics.bundle_desired, member):
            device.subscribe(topic)
        device.wait(member, golden)
        assert json.loads(device.bodies(topics.bundle_desired)[0])["id"] == "pump-3"
        capsys.readouterr()
        # It does not send again what it can read back.
        assert cli.main([*push, *own]) == 0
        assert "0 of 1 files" in capsys.readouterr().out
    assert cli.main(["fleet", "--json", *own]) == 0
    (row,) = json.loads(capsys.readouterr().out)["devices"]
    assert row["device"] == DEVICE
    assert row["desired"] == {"id": "pump-3", "version": 3}
    assert cli.main(["fleet", "--prune", *own]) == 0
    assert capsys.readouterr().out.startswith("0 files taken off")


def test_who_only_looks_on_can_list_and_push_nothing(
    broker: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = forge(tmp_path / "b", id="pump-4", version=4)
    own = where(broker, "dashboard")
    assert cli.main(["fleet", "--json", *own]) == 0
    capsys.readouterr()
    command = ["push", str(bundle), "--to", DEVICE, "--allow-unsigned", *own]
    assert cli.main(command) == 10
    assert "does not let user dashboard write to factory/bundles/" in (
        capsys.readouterr().err
    )
