"""Folders that recordings come in: how each is told, and what its paths say."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from asd_agent.errors import SoundError
from asd_train.data import labels
from asd_train.data.attributes import AttributeTables
from asd_train.data.names import SPLITS, Clip, is_dcase, parse

_MIMII = re.compile(r"id_(\d{2})", re.ASCII)
_SNR = re.compile(r"(-?\d+)_dB(?:_.*)?", re.ASCII)
_CASE = re.compile(r"case(\d{1,2})", re.ASCII)
_FILE_CHANNEL = re.compile(r"_ch(\d+)(?=_|$)", re.ASCII)
_NUMBER = re.compile(r"(\d+)$", re.ASCII)
_TOYADMOS = {
    "NormalSound_IND": ("normal", "mode_IND"),
    "NormalSound_CNT": ("normal", "mode_CNT"),
    "AnomalousSound_IND": ("anomaly", "mode_IND"),
}
_MIMII_LABELS = {"normal": "normal", "abnormal": "anomaly"}
_FAULTY = ("abnormal", "anomalous", "anomaly", "anomalies", "fault", "faulty")

Files = Sequence[Path]


def audio_files(root: Path) -> list[Path]:
    """Find recordings at any depth, sorted; hidden files are passed over.

    Raises
    ------
    SoundError
        The folder is not there.
    """
    if not root.is_dir():
        raise SoundError(f"{root}: there is no such folder of recordings")
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in (".wav", ".flac") and not path.name.startswith(".")
    )


def detect(root: Path, files: Files) -> str:
    """Name of the layout of a folder; empty if it has no recordings.

    Raises
    ------
    SoundError
        It is none of the known ones.
    """
    if (root / labels.NAME).is_file():
        return "labels"
    if not files:
        return ""
    if any(path.parent.name in SPLITS for path in files):
        return "dcase"
    if any(_is_mimii(path) for path in files):
        return "mimii"
    if any(_is_toyadmos(path) for path in files):
        return "toyadmos"
    if any(path.parent.parent == root for path in files):
        return "classes"
    raise SoundError(
        f"{root}: {len(files)} recordings in no known layout. Expected "
        "<machine>/train/ and <machine>/test/ with names as DCASE gives them, "
        f"<class>/*.wav, or a {labels.NAME} that lists them"
    )


def read_dcase(root: Path, files: Files, channel: int) -> Iterator[Clip]:
    """Read ``<machine>/<train, test, ...>/<DCASE name>``, at any depth.

    Where a machine has both `test` and `test_rename`, the second alone is read: it
    has the same recordings, with labels in their names. What `test` has from
    `source_test` and `target_test`, as the baseline's tools copy it, is read once.
    """
    del root
    tables = AttributeTables()
    named = {p.parent.parent for p in files if p.parent.name == "test_rename"}
    by_domain = {
        (p.parent.parent, p.name)
        for p in files
        if p.parent.name in ("source_test", "target_test")
    }
    for path in files:
        folder, machine = path.parent, path.parent.parent
        doubled = machine in named or (machine, path.name) in by_domain
        if folder.name not in SPLITS or (folder.name == "test" and doubled):
            continue
        clip = parse(path)
        attributes = clip.attributes or tables.find(clip)
        yield replace(clip, attributes=attributes, channel=channel)


def read_mimii(root: Path, files: Files, channel: int) -> Iterator[Clip]:
    """Read MIMII as it is published: ``<machine>/id_00/{normal,abnormal}/<n>.wav``.

    A folder above, such as ``6_dB_fan``, becomes the attribute ``snr_6dB``.
    """
    del root
    for path in filter(_is_mimii, files):
        machine = path.parents[2]
        label = _MIMII_LABELS[path.parent.name]
        noise = _SNR.fullmatch(machine.parent.name)
        yield Clip(
            path,
            machine.name,
            section=path.parents[1].name[3:],
            split=_split(path, label),
            domain="",
            label=label,
            attributes=f"snr_{noise[1]}dB" if noise else "",
            channel=channel,
        )


def read_toyadmos(root: Path, files: Files, channel: int) -> Iterator[Clip]:
    """Read ToyADMOS: ``<machine>/case1/NormalSound_IND/*.wav`` and its like.

    Its channels are files of their own, ``..._ch1_0001.wav``: those of the channel
    asked for are read, ``ch1`` being 0. Environmental noise is left out.

    Raises
    ------
    SoundError
        No file is of that channel.
    """
    found = False
    for path in filter(_is_toyadmos, files):
        own = _FILE_CHANNEL.search(path.stem)
        if own and int(own[1]) != channel + 1:
            continue
        found = True
        label, mode = _TOYADMOS[path.parent.name]
        case = path.parents[1].name.removeprefix("case")
        yield Clip(
            path,
            path.parents[2].name,
            section=f"{int(case):02}",
            split=_split(path, label),
            domain="",
            label=label,
            attributes=mode,
            channel=0 if own else channel,
        )
    if not found and any(map(_is_toyadmos, files)):
        raise SoundError(f"{root}: no recording of channel {channel} (ch{channel + 1})")


def read_table(root: Path, files: Files, channel: int) -> Iterator[Clip]:
    """Read what ``labels.csv`` lists."""
    del files
    for clip in labels.read_labels(root):
        yield replace(clip, channel=channel)


def read_classes(root: Path, files: Files, channel: int) -> Iterator[Clip]:
    """Read ``<class>/*.wav``: each class a machine of its own, all of it normal.

    Raises
    ------
    SoundError
        A folder's name says that it is not normal, or a file's that it is DCASE's.
    """
    for path in files:
        machine = path.parent.name
        if path.parent.parent != root:
            continue
        if machine.lower() in _FAULTY:
            raise SoundError(
                f"{path.parent}: class folders are learnt as normal, and this one "
                f"seems not to be. List the recordings in {root / labels.NAME}"
            )
        if is_dcase(path.name):
            raise SoundError(
                f"{path}: named as DCASE's, so its folder must be train or test, "
                "below that of its machine"
            )
        yield Clip(
            path, machine, "00", "train", "", "normal", attributes="", channel=channel
        )


LAYOUTS: dict[str, Callable[[Path, Files, int], Iterator[Clip]]] = {
    "dcase": read_dcase,
    "mimii": read_mimii,
    "toyadmos": read_toyadmos,
    "labels": read_table,
    "classes": read_classes,
}


def _is_mimii(path: Path) -> bool:
    return path.parent.name in _MIMII_LABELS and bool(
        _MIMII.fullmatch(path.parents[1].name)
    )


def _is_toyadmos(path: Path) -> bool:
    return path.parent.name in _TOYADMOS and bool(_CASE.fullmatch(path.parents[1].name))


def _split(path: Path, label: str) -> str:
    """Split of data that has none: a fifth of the normal recordings is for testing.

    It is that whose number, at the end of the name, leaves 4 when divided by 5. So a
    recording is on the same side in every channel and at every noise level, and stays
    there when others are added.
    """
    number = _NUMBER.search(path.stem)
    held = number is not None and int(number[1]) % 5 == 4
    return "test" if label == "anomaly" or held else "train"
