"""The pages on configuration and bundles say what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from asd_agent import errors
from asd_agent.bundle import manifest
from asd_agent.config import RESERVED_NAMES, Config, CountRule, TlsConfig
from asd_agent.config_file import load
from asd_agent.config_words import models
from asd_agent.features.spec import LogMelSpec, SecomSpec

DOCS = Path(__file__).parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
BUNDLE = (DOCS / "bundle.md").read_text(encoding="utf-8")
LEFT_TO_WORDS = {"on", "empty", "see below"}


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Table whose head begins with `heading`, by first cell."""
    table = page[page.index(f"| {heading}") :].split("\n\n", maxsplit=1)[0]
    cells = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in table.splitlines()[2:]
    ]
    return {first.strip("`"): rest for first, *rest in cells}


def keys(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of a model and of those within it, as the page writes it."""
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        within = [m for m in models(field.annotation) if m is not CountRule]
        many = "tuple" in str(field.annotation)
        # A section that cannot be left out or be false is only its keys.
        if (
            not within
            or many
            or not issubclass(type(field.default), BaseModel)
            or within == [TlsConfig]
        ):
            yield key, field
        for inner in within:
            yield from keys(inner, f"{key}{'[]' if many else ''}.")


def shown(field: FieldInfo) -> str:
    """How the page writes a default."""
    default: Any = field.default
    if field.is_required():
        return "required"
    if default is None:
        return "none"
    if isinstance(default, CountRule):
        return f"`{default.k} of {default.n}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def check_defaults(table: dict[str, str], fields: dict[str, FieldInfo]) -> None:
    assert list(table) == list(fields)
    for key, text in table.items():
        if text not in LEFT_TO_WORDS:
            assert text == shown(fields[key]), key
        else:
            default = fields[key].default
            empty = default in ((), {}) or default is PydanticUndefined
            assert empty or isinstance(default, BaseModel), key


def test_every_key_of_the_configuration_is_there_with_its_default() -> None:
    table = {key: cells[0] for key, cells in rows(CONFIGURATION, "Key |").items()}
    fields = dict(keys(Config))
    # The page has `mqtt.tls` after the keys that do not need it.
    check_defaults(table, fields)
    assert all(cells[1] for cells in rows(CONFIGURATION, "Key |").values())


def test_the_limits_are_those_of_the_models() -> None:
    table = {key: cells[1] for key, cells in rows(CONFIGURATION, "Key |").items()}
    for key, field in keys(Config):
        for rule in field.metadata:
            for kind in ("ge", "le", "gt"):
                limit = getattr(rule, kind, None)
                if limit is not None and key != "sources[].channel":
                    assert re.search(
                        rf"\b{limit:.10g}\b", table[key].replace(",", "")
                    ), key
    assert set(re.findall(r"`(\w+)`", table["sources[].name"])) == {
        "device",
        *RESERVED_NAMES,
    }


def examples(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page, re.S)


def test_the_examples_load(tmp_path: Path) -> None:
    least, full = examples(CONFIGURATION)
    path = tmp_path / "asd.yaml"
    path.write_text(least)
    assert load(path).device == "press-07"
    etc = tmp_path / "etc"
    (etc / "bundle").mkdir(parents=True)
    for name in re.findall(r"/etc/asd/([\w.-]+)", full):
        (etc / name).is_dir() or (etc / name).touch()
    (etc / "bundle" / "manifest.json").touch()
    path.write_text(full.replace("/etc/asd", str(etc)))
    config = load(path)
    assert [source.name for source in config.sources] == ["gearbox", "pump"]


def test_the_full_example_has_every_key() -> None:
    _, full = examples(CONFIGURATION)
    assert set(_dotted(yaml.safe_load(full))) >= {key for key, _ in keys(Config)}


def _dotted(value: object, above: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{above}{key}"
            yield from _dotted(inner, f"{above}{key}.")
    elif isinstance(value, list):
        for inner in value:
            yield from _dotted(inner, f"{above.removesuffix('.')}[].")


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {int(code) for code in rows(CONFIGURATION, "Code |")}
    classes = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.AsdError)
    ]
    assert codes == {error.exit_code for error in classes} | {0, 130}


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Key | Default | What it is |\n| --- | --- | --- |\n| `schema", "Manifest"),
        ("Key | Default | What it is |\n| --- | --- | --- |\n| `name", "MemberSpec"),
        ("Key of `golden`", "GoldenSpec"),
    ],
)
def test_every_key_of_a_manifest_is_there_with_its_default(
    heading: str, model: str
) -> None:
    table = {key: cells[0] for key, cells in rows(BUNDLE, heading).items()}
    check_defaults(table, getattr(manifest, model).model_fields)


@pytest.mark.parametrize(("column", "spec"), [(0, SecomSpec), (1, LogMelSpec)])
def test_every_key_of_a_front_end_is_there_with_its_default(
    column: int, spec: type[BaseModel]
) -> None:
    table = {
        key: cells[column]
        for key, cells in rows(BUNDLE, "Key | `secom`").items()
        if cells[column]
    }
    fields = {k: f for k, f in spec.model_fields.items() if k != "kind"}
    check_defaults(dict(sorted(table.items())), dict(sorted(fields.items())))


def test_the_limits_of_a_bundle_are_those_of_the_code() -> None:
    assert manifest.MAX_MANIFEST_BYTES == 1 << 20
    assert manifest.MAX_FILE_BYTES == 256 << 20
    assert "at most 1 MiB" in BUNDLE
    assert f"at most {manifest.MAX_FILES} files of at most 256 MiB" in BUNDLE


def test_the_page_on_reliability_names_tests_and_commands_that_are_there() -> None:
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    tests = DOCS.parent / "tests"
    named = set(re.findall(r"`(?:tests/)?([a-z_/]+/(?:test_\w+\.py)?)`", page))
    named.discard("tests/")
    assert len(named) > 20
    for path in named:
        assert (tests / path).exists(), path
    commands = set(re.findall(r"`((?:faults|bench)\.\w+)", page))
    assert len(commands) > 4
    for command in commands:
        assert (tests / f"{command.replace('.', '/')}.py").exists(), command
