"""Every mistake is told with its line, its key and its mend; none is a traceback."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asd_agent.config import Config
from asd_agent.config_file import MAX_BYTES, load
from asd_agent.errors import ConfigError

LEAST = "device: press-07\nsources:\n  - name: gearbox\n    microphone: default\n"


def read(folder: Path, text: str | bytes) -> Config:
    path = folder / "asd.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def refusal(folder: Path, text: str | bytes) -> list[str]:
    """Lines of the error, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    name = f"{folder / 'asd.yaml'}:"
    lines = str(caught.value).splitlines()
    assert all(line.startswith(name) for line in lines)
    return [line.removeprefix(name) for line in lines]


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert config.device == "press-07"
    (source,) = config.sources
    assert (source.name, source.microphone, source.channel) == ("gearbox", "default", 0)
    assert source.learn.minutes == 15
    assert config.mqtt is None
    assert config.alarm.per_week == 1
    assert (config.alarm.raise_.k, config.alarm.raise_.n) == (3, 5)


def test_everything_can_be_said(tmp_path: Path) -> None:
    text = f"""\
device: press-07
state_dir: {tmp_path}/state
mqtt:
  host: broker.factory.local
  username: press-07
  tls: {{}}
  interval_s: 2.5
sources:
  - {{name: gearbox, recording: "/srv/*.flac", pace: fast, loop: true, channel: 1}}
  - {{name: pump, microphone: "usb:0d8c:0014", learn: {{minutes: 30}}}}
alarm: {{per_week: 0.5, raise: 2 of 4, clear: "0 of 20"}}
"""
    config = read(tmp_path, text)
    assert config.mqtt is not None
    assert (config.mqtt.port, config.mqtt.root) == (8883, "factory")
    assert config.sources[0].loop
    assert config.sources[1].learn.minutes == 30
    assert (config.alarm.raise_.k, config.alarm.clear.n) == (2, 20)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("devise: x", "5: devise: no such key; did you mean device?"),
        (
            "alarm:\n  per_weak: 2",
            "6: alarm.per_weak: no such key; did you mean per_week?",
        ),
        (
            "alarm: {raise_: 3 of 5}",
            "5: alarm.raise_: no such key; did you mean raise?",
        ),
        (
            "alarm: {raise: {k: 1, n: 2, x: 3}}",
            "5: alarm.raise.x: no such key; known: k, n",
        ),
        (
            "mqtt: {host: b, tls: {crt: x}}",
            "5: mqtt.tls.crt: no such key; did you mean cert?",
        ),
        (
            "fooConfig: 1",
            "5: fooConfig: no such key; known: device, state_dir, groups, bundle, "
            "mqtt, sources, alarm",
        ),
        (
            "TlsConfig: 1",
            "5: TlsConfig: no such key; known: device, state_dir, groups, bundle, "
            "mqtt, sources, alarm",
        ),
        (
            "mqtt: {host: b, tls: {TlsConfig: 1}}",
            "5: mqtt.tls.TlsConfig: no such key; known: ca, cert, key",
        ),
        ("mqtt: {port: 1883}", "5: mqtt.host: is missing; add it"),
        (
            "mqtt: {host: b, port: many}",
            "5: mqtt.port: expected a whole number; found 'many'",
        ),
        (
            "mqtt: {host: b, tls: true}",
            "5: mqtt.tls: expected keys below it, or {} for their defaults; found true",
        ),
        (
            "alarm: 7",
            "5: alarm: expected keys below it, or {} for their defaults; found 7",
        ),
        (
            "alarm:",
            "5: alarm: expected keys below it, or {} for their defaults; found nothing",
        ),
        (
            "mqtt:",
            "5: mqtt: nothing is below it: write its keys, or remove it",
        ),
        (
            "port: 1883",
            "5: port: no such key; it belongs below mqtt: check how far",
        ),
        (
            "bundle: {runtime: torch}",
            "5: bundle.runtime: expected 'auto', 'onnx', 'tflite' or 'onnx-gpu'; "
            "found 'torch'",
        ),
        (
            "alarm: {raise: 3 in 5}",
            "5: alarm.raise: expected windows of windows, such as 3 of 5; "
            "found '3 in 5'",
        ),
        ("alarm: {raise: 6 of 5}", "5: alarm.raise: 6 of 5 cannot be reached"),
        (
            "alarm: {raise: 0 of 5}",
            "5: alarm: raise: 0 windows would always be an alarm",
        ),
        (
            "alarm: {clear: 3 of 10}",
            "5: alarm: clear: needs fewer hits in at least as many "
            "windows as raise, or an alarm would flicker",
        ),
        (
            "alarm: {clear: 0 of 4}",
            "5: alarm: clear: needs fewer hits in at least as many "
            "windows as raise, or an alarm would flicker",
        ),
        (
            "alarm: {per_week: 0}",
            "5: alarm.per_week: expected more than 0; found 0",
        ),
        (
            "alarm: {per_week: .nan}",
            "5: alarm.per_week: expected a finite number; found nan",
        ),
        ("device: press-08", "5: device: given twice, first in line 1; keep one"),
        (
            "alarm:\n  per_week: 1\n  per_week: 2",
            "7: alarm.per_week: given twice, first in line 6; keep one",
        ),
        (
            'state_dir: "a\\0b"',
            "5: state_dir: holds a character that cannot be printed",
        ),
        ("mqtt: {host: b, root: /x}", "5: mqtt.root: expected levels with /"),
        ("1: 2", "5: 1: expected a word as a key: put it in quotes; found 1"),
        (
            "mqtt: {host: b, tls: {cert: c.pem}}",
            "5: mqtt.tls: cert and key go together: give both or neither",
        ),
        (
            "bundle: {path: /nowhere}",
            "5: bundle.path: there is no file /nowhere/manifest.json; check the path",
        ),
        (
            "mqtt: {host: b, username: u, password_file: /nowhere}",
            "5: mqtt.password_file: there is no such file; write the path of a file",
        ),
        (
            "mqtt: {host: b, tls: {ca: /nowhere}}",
            "5: mqtt.tls.ca: there is no file /nowhere; check the path",
        ),
    ],
)
def test_a_mistake_has_a_line_a_key_and_a_mend(
    tmp_path: Path, added: str, expected: str
) -> None:
    (line,) = refusal(tmp_path, LEAST + added + "\n")
    assert line.startswith(expected)


def test_a_device_does_not_take_the_name_of_a_shared_topic(tmp_path: Path) -> None:
    text = LEAST.replace("press-07", "bundles")
    (line,) = refusal(tmp_path, text)
    assert line.startswith("1: device: bundles is a word of the MQTT topics")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name: status, microphone: m", "sources[0].name: status is a word"),
        ("name: Pump, microphone: m", "sources[0].name: expected lower-case letters"),
        ("name: a, microphone: m, recording: r", "sources[0]: give either microphone"),
        ("name: a", "sources[0]: give either microphone or recording"),
        (
            "name: a, mikrophone: m",
            "sources[0].mikrophone: no such key; did you mean microphone?",
        ),
        (
            "name: a, microphone: m, pace: slow",
            "sources[0].pace: expected 'realtime' or",
        ),
        (
            "name: a, microphone: m, channel: -1",
            "sources[0].channel: expected at least 0",
        ),
        ("name: a, microphone: m, learn: {minutes: 0}", "sources[0].learn.minutes: "),
    ],
)
def test_a_source_that_cannot_be(tmp_path: Path, source: str, expected: str) -> None:
    lines = refusal(tmp_path, f"device: d\nsources:\n  - {{{source}}}\n")
    assert any(line.startswith(f"3: {expected}") for line in lines), lines


def test_reserved_names_are_told_so(tmp_path: Path) -> None:
    text = "device: d\nsources: [{name: health, microphone: m}]"
    (line,) = refusal(tmp_path, text)
    assert "health is a word of the MQTT topics; take another name" in line


def test_sources_need_names_of_their_own(tmp_path: Path) -> None:
    two = "[{name: a, microphone: m}, {name: a, recording: r}]"
    (line,) = refusal(tmp_path, f"device: d\nsources: {two}\n")
    assert line.startswith("2: sources: sources[0] and sources[1] both have the name a")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "alarm: {per_week: x}\nfoo: 1\nfoo: 2\n")
    assert len(lines) == 5
    assert sum("is missing; add it" in line for line in lines) == 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_no_tls_is_for_this_machine(tmp_path: Path, host: str) -> None:
    config = read(tmp_path, f"{LEAST}mqtt: {{host: '{host}', tls: false}}\n")
    assert config.mqtt is not None
    assert config.mqtt.tls is False


def test_no_tls_elsewhere_must_be_said_twice(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, f"{LEAST}mqtt: {{host: broker, tls: false}}\n")
    assert line.startswith(
        "5: mqtt: tls: false is for a broker on this machine; broker"
    )
    text = f"{LEAST}mqtt: {{host: broker, tls: false, insecure: true}}\n"
    assert read(tmp_path, text).mqtt is not None


@pytest.mark.parametrize(
    "mqtt",
    [
        "{host: b, password: hunter2}",
        "{host: b, password_file: [hunter2]}",
        "{host: b, username: u, password_file: hunter2}",
        "{host: 'mqtts://u:hunter2@b'}",
        "{host: b, tls: {cert: /c, key: hunter2}}",
        "{host: b, port: {pass: hunter2}}",
        "{host: b, port: [hunter2]}",
        "[{password: hunter2}]",
        "{host: b, port: {password: hunter2}}",
        "{host: b, tls: {password: hunter2}}",
    ],
)
def test_a_password_is_never_shown(tmp_path: Path, mqtt: str) -> None:
    lines = refusal(tmp_path, f"{LEAST}mqtt: {mqtt}\n")
    assert lines
    assert not any("hunter2" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: expected keys such as device: and sources:"),
        ("# nothing yet\n", "1: expected keys"),
        ("- a\n- b\n", "1: expected keys"),
        ("just words", "1: expected keys"),
        ("device: [a\nsources: b", "2: not YAML: while parsing a flow sequence"),
        ("device: a\n\tsources: b", "2: not YAML: "),
        ("device: a\n---\ndevice: b", "2: not YAML: expected a single document"),
        ("device: !secret x", "1: not YAML: a tag (!) is not taken here"),
        ("device: &a x\nsources: *a", "2: not YAML: an alias (*) is not taken here"),
        ("a: &a [*a]", "1: not YAML: an alias (*) is not taken here"),
        ("? [1]\n: 2", "1: not YAML: while constructing a mapping, found unhashable"),
        ("a: 1\ndevice: 2026-13-32", "2: not YAML: no number or date that can be"),
        ("device: " + "9" * 5000, "1: not YAML: no number or date that can be"),
        ("[" * 5000, " not YAML: nested too deeply"),
        ("\na: \x07", "2: not YAML: character 0x07 cannot be printed"),
        (b"\n\xff\xfe\xff", "2: not text in UTF-8"),
        (b"#" * (MAX_BYTES + 1), f" has more than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_no_configuration(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    (line,) = refusal(tmp_path, text)
    assert line.startswith(expected)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "no.yaml", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match="cannot be read: "):
            load(path)


def test_a_path_too_long_is_no_file(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, f"{LEAST}bundle: {{path: {'x' * 300}}}\n")
    assert line.startswith("5: bundle.path: there is no file xxx")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=8)
    | st.sampled_from(["3 of 5", "fast", "default", "localhost", "factory", "a"])
)
NAMES = [
    "device",
    "sources",
    "name",
    "microphone",
    "recording",
    "mqtt",
    "host",
    "tls",
    "ca",
    "alarm",
    "raise",
    "clear",
    "k",
    "n",
    "learn",
    "minutes",
    "bundle",
    "path",
    "port",
    "root",
    "channel",
    "TlsConfig",
    "a[b",
]
BELOW = st.sampled_from(NAMES) | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(BELOW, inner, max_size=5)
    ),
    max_leaves=12,
)
TOKENS = [
    *[
        "device",
        "sources",
        "name",
        ": ",
        "- ",
        ", ",
        "&a ",
        "*a",
        "!x ",
        "!!int ",
        "? ",
        "<<",
        "---\n",
        "0x_",
    ],
    *":{}[]='\"\n\t#|",
    *("\n  ", "%YAML 1.1\n", "2026-99-99", "null", "\\x0"),
]
KEYS = st.sampled_from([*Config.model_fields, "devise"])


def _only_config_error(folder: Path, text: str) -> None:
    path = folder / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(ConfigError):
        assert isinstance(load(path), Config)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_no_values_give_anything_but_a_config_error(
    tmp_path: Path, values: dict[str, object]
) -> None:
    _only_config_error(tmp_path, yaml.safe_dump(values, allow_unicode=True))


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=14).map("".join)
)
@example("<<: 1")
@example("0x_: 0x_")
@example("=: =")
def test_no_text_gives_anything_but_a_config_error(tmp_path: Path, text: str) -> None:
    _only_config_error(tmp_path, text)


@pytest.mark.parametrize("number", ["3", "index:3", "hw:1,0", "USB Audio (hw:2,0)"])
def test_a_microphone_is_not_named_by_a_number(tmp_path: Path, number: str) -> None:
    file = tmp_path / "asd.yaml"
    file.write_text(
        f'device: a\nsources:\n  - name: pump\n    microphone: "{number}"\n'
    )
    with pytest.raises(ConfigError, match="another plug changes; write a name as"):
        load(file)
