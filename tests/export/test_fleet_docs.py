"""The page on fleets says what the commands, the devices and the scripts do."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from asd_agent import cli as agent_cli
from asd_agent.bundle.state import REMEMBERED
from asd_agent.config import BundleConfig, Config, MqttConfig
from asd_agent.errors import BundleError, ConfigError, RuntimeMissing
from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES
from asd_agent.update.report import State
from asd_export import broker, cli, device, plan, rule
from asd_export.commands.push import DEFAULT_RULE, EXAMPLES
from asd_export.errors import BrokerError
from asd_export.rollout import Outcome

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "fleet.md").read_text(encoding="utf-8")
SCHEMA = json.loads((DOCS / "mqtt" / "bundle_state.schema.json").read_text())
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.S | re.M)


def commands() -> Iterator[list[str]]:
    """Every command in a block, and those in the text that have arguments."""
    blocks = [block for kind, block in FENCE.findall(PAGE) if not kind]
    spans = re.findall(r"`(asd-[^`]+ [^`]+ [^`]+)`", FENCE.sub("", PAGE))
    joined = "\n".join(blocks).replace("\\\n", " ")
    for line in [*joined.splitlines(), *spans]:
        words = shlex.split(line)
        if words and words[0].startswith("asd-"):
            yield words


WHOLE = list(commands())


def rows(heading: str) -> dict[str, list[str]]:
    """Table whose head begins with `heading`, by first cell without ticks."""
    table = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n", maxsplit=1)[0]
    cells = [
        [cell.strip() for cell in line.strip()[1:-1].split("|")]
        for line in table.splitlines()[2:]
    ]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    program, *rest = words
    if program == "asd-export":
        assert callable(cli._parser().parse_args(rest).run)
    elif len(rest) > 2:
        assert callable(agent_cli._parser().parse_args(rest).command)
    else:  # only the name of a command
        with pytest.raises(SystemExit) as caught:
            agent_cli._parser().parse_args([*rest, "--help"])
        assert caught.value.code == 0


def test_every_command_of_the_fleet_is_shown() -> None:
    shown = {words[1] for words in WHOLE if words[0] == "asd-export"}
    assert shown == {"keygen", "sign", "inspect", "push", "fleet"}


def subparser(name: str) -> argparse.ArgumentParser:
    actions = cli._parser()._actions
    found = next(a for a in actions if isinstance(a, argparse._SubParsersAction))
    parser: argparse.ArgumentParser = found.choices[name]
    return parser


@pytest.mark.parametrize("name", ["keygen", "sign", "inspect", "push", "fleet"])
def test_every_option_is_told(name: str) -> None:
    for action in subparser(name)._actions:
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                assert re.search(rf"{option}\b", PAGE), option


@pytest.mark.parametrize("name", ["keygen", "sign", "push", "fleet"])
def test_the_help_ends_with_commands_that_can_be_typed(name: str) -> None:
    epilog = subparser(name).epilog or ""
    text = epilog.split("exit codes")[0].replace("\\\n", " ")
    found = [shlex.split(line) for line in text.splitlines() if "asd-export" in line]
    assert found
    for words in found:
        assert words[:2] == ["asd-export", name]
        assert callable(cli._parser().parse_args(words[1:]).run)


def test_the_exit_codes_are_those_of_the_code() -> None:
    errors = (ConfigError, BundleError, RuntimeMissing, BrokerError)
    codes = {error.exit_code for error in errors} | {int(o) for o in Outcome} | {130}
    assert {int(code) for code in rows("Code")} == codes
    help_text = EXAMPLES.split("exit codes:")[1]
    assert {int(n) for n in re.findall(r"(?:^|\s)(\d+)\s", help_text)} == codes


def test_states_and_reasons_are_those_of_the_schema() -> None:
    states = SCHEMA["properties"]["state"]["enum"]
    table = list(rows("state"))
    assert table == ["unknown", "waiting", *states]
    assert tuple(states) == get_args(State)
    assert set(device.FAILED) == {"rejected", "rolled_back"}
    reasons = [r for r in SCHEMA["properties"]["reason"]["enum"] if r]
    told = rows("reason")
    assert list(told) == reasons
    final = {reason for reason, (good, _) in told.items() if good == "yes"}
    assert final == REMEMBERED | {"rejected_before"} == set(device.FINAL)
    assert all(what for _, what in told.values())


def test_counts_and_actions_are_those_of_the_code() -> None:
    assert list(rows("count")) == list(rule.NAMES)
    actions = re.findall(r"^   \| `(\w+)` \|", PAGE, re.M)
    assert tuple(actions) == get_args(plan.Action)
    assert f"`{DEFAULT_RULE}` holds where you say nothing" in PAGE
    rule.parse(DEFAULT_RULE)


def test_the_files_of_the_page_can_be_read(tmp_path: Path) -> None:
    of_device, of_broker = (b for kind, b in FENCE.findall(PAGE) if kind == "yaml")
    values: dict[str, Any] = yaml.safe_load(of_device)
    source = {"name": "gearbox", "microphone": "usb"}
    config = Config.model_validate({**values, "device": "a", "sources": [source]})
    assert config.groups == ("line-3",)
    path = tmp_path / "fleet.yaml"
    path.write_text(of_broker)
    assert broker.access({}, path, {}).config.username == "exporter"


def test_names_on_the_page_are_real() -> None:
    for key in re.findall(r"`bundle\.(\w+)`", PAGE):
        assert key in BundleConfig.model_fields, key
    for key in re.findall(r"`mqtt\.(\w+)`", PAGE):
        assert key in MqttConfig.model_fields, key
    for name in re.findall(r"ASD_MQTT_(\w+)", PAGE):
        assert name.lower() in {*broker.KEYS, "broker", "password"}, name
    for script in re.findall(r"`(deploy/\S+)`", PAGE):
        assert (ROOT / script).is_file(), script
    assert f"{MAX_MEMBER_BYTES >> 20} MiB over MQTT" in PAGE


def test_lines_fit_a_window_and_links_lead_somewhere() -> None:
    text = [line for line in PAGE.splitlines() if not line.lstrip().startswith("|")]
    assert max(map(len, text)) <= 120
    for name, anchor in re.findall(r"\]\((\w*\.?\w*)(?:#([\w-]+))?\)", PAGE):
        target = (DOCS / name).read_text(encoding="utf-8") if name else PAGE
        heads = re.findall(r"^#+ (.*)$", target, re.M)
        slugs = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}
        assert not anchor or anchor in slugs, anchor
