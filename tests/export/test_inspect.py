"""The command `inspect` tells all that a bundle holds."""

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.bundle.manifest import FileParity, FileTolerance, GoldenSpec
from asd_export import cli, keys
from support.bundles import MODEL, forge

PARITY = {
    MODEL.file: FileParity(
        library="onnxruntime 1.31.1",
        method="entropy",
        cosine_mean=0.99812,
        cosine_min=0.9951,
        rank=0.9983,
        auc_loss=0.0012,
    ),
    "golden.safetensors": FileParity(
        library="numpy 2.4.6",
        method="",
        cosine_mean=1.0,
        cosine_min=1.0,
        rank=1.0,
        auc_loss=None,
    ),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    tolerance = FileTolerance(cosine=0.97, score=0.1, p_value=0.3)
    return forge(
        tmp_path / "b",
        embeds=True,
        parity=PARITY,
        runtime="onnx",
        licence="CC-BY-4.0",
        golden=GoldenSpec(files={MODEL.file: tolerance}),
        created=datetime(2026, 1, 2, tzinfo=timezone.utc),
    )


def test_everything_is_told(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "forged-1, version 1, for any"
    shown = {line.split()[0]: line for line in lines}
    assert shown["signature"].endswith("only with allow_unsigned: true")
    assert shown["licence"].endswith("CC-BY-4.0")
    assert shown["runtime"].endswith("onnx")
    total = sum(
        (bundle / name).stat().st_size for name in (MODEL.file, "golden.safetensors")
    )
    assert shown["together"].split() == ["together", "2", str(total), "bytes"]
    assert any(
        "at least 0.97, scores within 0.1, p-values within 30%" in x for x in lines
    )
    head, quantised, plain = lines[-3:]
    assert head.split()[:3] == ["parity", "cosine", "mean"]
    assert quantised.split()[1:] == [
        *("0.9981", "0.9951", "0.9983", "+0.0012", "entropy"),
        *("onnxruntime", "1.31.1"),
    ]
    assert plain.split()[4:6] == ["-", "-"]


def test_the_signature_is_checked_with_a_key(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = keys.make(tmp_path / "factory")
    _, other = keys.make(tmp_path / "other")
    pair = keys.load(private)
    keys.sign(bundle, pair)
    command = ["inspect", str(bundle)]
    assert cli.main(command) == 0
    assert "signature not checked" in capsys.readouterr().out
    trusted = ["--trusted-key", str(other), "--trusted-key", str(public)]
    assert cli.main([*command, *trusted]) == 0
    assert f"signature valid, by {pair.public}" in capsys.readouterr().out
    assert cli.main([*command, *trusted[:2]]) == 4
    assert "made by no trusted key" in capsys.readouterr().err
    (bundle / "manifest.sig").unlink()
    assert cli.main([*command, *trusted]) == 4
    assert "not signed" in capsys.readouterr().err


def test_programs_get_all_of_it(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = keys.make(tmp_path / "factory")
    pair = keys.load(private)
    keys.sign(bundle, pair)
    command = ["inspect", str(bundle), "--json"]
    assert cli.main([*command, "--trusted-key", str(public)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["manifest"] == json.loads((bundle / "manifest.json").read_bytes())
    assert found["signature"]["key"] == {"name": "factory", "id": pair.public.id}
    assert found["bytes"] > 0
    assert cli.main(command) == 0
    assert json.loads(capsys.readouterr().out)["signature"] == {
        "present": True,
        "key": None,
    }


def test_no_bundle_can_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = forge(tmp_path / "b", licence="MIT\x1b[2J", labels=("a\nfile  x",))
    assert cli.main(["inspect", str(bad)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "labels    1: a file  x" in out
    assert cli.main(["inspect", str(bad), "--json"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_bundle_that_comes_with_the_software_is_described(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["inspect", str(DEFAULT_BUNDLE)]) == 0
    assert "licence   Apache-2.0" in capsys.readouterr().out
