"""The files for containers, read: no image can be built in these tests."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.heartbeat import Heartbeat
from support.installed import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = DEPLOY / "compose.yaml"
YAML_RULES = (
    "{extends: default, rules: {line-length: {max: 88}, document-start: disable}}"
)
UNIT = (ROOT / "systemd" / "asd-agent.service").read_text()


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage, by its name."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            image, _, name = rest.split()
            found[name] = [(word, image)]
        else:
            found[name].append((word, " ".join(rest.split())))
    return found


STAGES = stages()
SHIPPED = ("broker", "agent")


def last(stage: str, word: str) -> str:
    """What the last instruction of a kind says."""
    return [rest for found, rest in STAGES[stage] if found == word][-1]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(last("agent", "ENV")))


def compose() -> Any:
    return yaml.safe_load(COMPOSE.read_text())


def test_the_agent_is_what_is_built_by_itself() -> None:
    assert list(STAGES) == ["build", "broker", "agent"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_base_is_slim_and_leaves_no_lists(stage: str) -> None:
    assert last(stage, "FROM") == "debian:bookworm-slim"
    for word, rest in STAGES[stage]:
        if word == "RUN" and "apt-get" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest


@pytest.mark.parametrize("stage", SHIPPED)
def test_what_is_shipped_is_no_root_and_has_no_tools(stage: str) -> None:
    assert last(stage, "USER") not in {"root", "0"}
    runs = " ".join(rest for word, rest in STAGES[stage] if word == "RUN")
    assert not re.search(
        r"\b(pip|gcc|build-essential|git|curl|wget|python3-dev)\b", runs
    )
    # What comes after it would be root's.
    words = [word for word, _ in STAGES[stage]]
    assert "RUN" not in words[words.index("USER") :]


@pytest.mark.parametrize("stage", SHIPPED)
def test_signals_reach_the_program(stage: str) -> None:
    assert last(stage, "STOPSIGNAL") == "SIGTERM"
    for word, rest in STAGES[stage]:
        if word in {"CMD", "ENTRYPOINT"}:
            assert isinstance(json.loads(rest), list)


def test_health_is_whether_every_source_is_scored() -> None:
    options, _, command = last("agent", "HEALTHCHECK").partition(" CMD ")
    assert json.loads(command) == ["python", "-m", "asd_agent.heartbeat"]
    interval_s = re.search(r"--interval=(\d+)s", options)
    assert interval_s
    assert int(interval_s[1]) < Heartbeat.LIMIT_S
    assert environment()["ASD_HEARTBEAT"] == "/run/asd/heartbeat"


def test_the_agent_has_the_environment_of_the_service() -> None:
    for variable in re.findall(r"^Environment=(.*)", UNIT, re.MULTILINE):
        name, value = variable.split("=")
        assert environment()[name] == value


def test_health_of_the_broker_is_a_verified_handshake() -> None:
    command = json.loads(last("broker", "HEALTHCHECK").partition(" CMD ")[2])
    assert command[:2] == ["openssl", "s_client"]
    assert "-verify_return_error" in command


def test_everything_that_is_copied_is_there_and_not_left_out() -> None:
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for stage in STAGES.values():
        for word, rest in stage:
            if word == "COPY" and "--from" not in rest:
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert f"!{source}" in kept, source
    assert kept[1] == "*"


def test_the_wheel_is_made_of_what_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    copied = " ".join(rest for word, rest in STAGES["build"] if word == "COPY")
    for folder in re.findall(r'"(\w+)/asd_\w+"', project):
        assert re.search(rf"\b{folder} {folder}\b", copied), folder


@pytest.mark.parametrize("name", ["agent", "broker"])
def test_services_are_shut_in(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["build"]["target"] in STAGES
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]) == (
        DEPLOY / ".." / "deploy/Dockerfile"
    )
    # A log without a bound fills the disk.
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


def test_the_agent_has_what_it_needs() -> None:
    agent = compose()["services"]["agent"]
    # The health check cannot end the first process of a container.
    assert agent["init"] is True
    places = {volume["target"]: volume for volume in agent["volumes"]}
    assert places["/etc/asd"]["read_only"] is True
    assert places["/var/lib/asd"]["type"] == "volume"
    assert places["/dev/snd"]["bind"] == {"create_host_path": False}
    assert agent["device_cgroup_rules"] == ["c 116:* rw"]
    assert agent["group_add"]
    mounted = {entry.split(":")[0]: entry for entry in agent["tmpfs"]}
    user = last("agent", "USER")
    assert f"uid={user},gid={user}" in mounted["/run/asd"]
    assert f"--uid {user} " in last("agent", "RUN")
    # Nobody waits for the broker.
    assert "depends_on" not in agent


def test_the_configuration_is_where_the_image_looks() -> None:
    assert json.loads(last("agent", "CMD")) == ["--config", "/etc/asd/asd.yaml"]
    names = set(compose()["volumes"])
    for service in compose()["services"].values():
        for volume in service["volumes"]:
            if volume["type"] == "volume":
                assert volume["source"] in names


@pytest.mark.parametrize("file", ["compose.yaml", "asd.yaml"])
def test_yamllint_finds_nothing(file: str) -> None:
    words = ["yamllint", "--strict", "-d", YAML_RULES, str(DEPLOY / file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_no_secret_is_in_an_image() -> None:
    text = DOCKERFILE.read_text() + COMPOSE.read_text()
    assert not re.search(r"(?i)password|token|secret|\.key\b", text)
