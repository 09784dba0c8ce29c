"""Which device is meant, from what PortAudio lists on a usual Raspberry Pi."""

import os
from pathlib import Path
from typing import Any

import pytest

from asd_agent.capture.device import Device, choose, describe, table
from asd_agent.errors import SoundError
from support.sound_cards import proc_card, sys_card

HOST_APIS = [{"name": "ALSA"}, {"name": "JACK Audio Connection Kit"}]


def _info(index: int, name: str, inputs: int = 2, rate: float = 48e3) -> dict[str, Any]:
    return {
        "index": index,
        "name": name,
        "hostapi": 0,
        "max_input_channels": inputs,
        "default_samplerate": rate,
    }


@pytest.fixture
def listed(tmp_path: Path) -> list[Device]:
    """Board output, two unlike USB microphones, twins, and plugins."""
    for card, product, port, serial in (
        (1, "0d8c:0014", "1-1.1", ""),
        (2, "2886:001a", "1-1.2", "101991441"),
        (3, "1234:5678", "1-1.3", ""),
        (4, "1234:5678", "1-1.4", ""),
    ):
        proc_card(tmp_path, card, product)
        vendor, _, number = product.partition(":")
        sys_card(tmp_path, card, vendor, number, port, serial=serial)
    infos = [
        _info(0, "bcm2835 Headphones: - (hw:0,0)", inputs=0),
        _info(1, "USB Audio Device: - (hw:1,0)", inputs=1, rate=44_100.0),
        _info(2, "ReSpeaker 4 Mic Array: USB Audio (hw:2,0)", inputs=6, rate=16e3),
        _info(3, "Twin: USB Audio (hw:3,0)"),
        _info(4, "Twin: USB Audio (hw:4,0)"),
        _info(5, "Twin: USB Audio #1 (hw:4,1)"),
        _info(6, "null", inputs=128),
        _info(7, "default", inputs=32),
    ]
    return describe(infos, HOST_APIS, default=7, root=tmp_path)


def test_devices_have_names_that_last(listed: list[Device]) -> None:
    assert [device.id for device in listed] == [
        "usb:0d8c:0014",
        "usb:2886:001a:101991441",
        "usb:1234:5678@1-1.3",
        "usb:1234:5678@1-1.4",
        "usb:1234:5678@1-1.4,1",
        "default",
    ]
    assert listed[0] == Device(
        index=1,
        name="USB Audio Device: - (hw:1,0)",
        id="usb:0d8c:0014",
        full_id="usb:0d8c:0014@1-1.1",
        host_api="ALSA",
        channels=1,
        rate_hz=44_100,
        default=False,
        card=1,
    )


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("usb:0d8c:0014", 1),
        ("USB:0D8C:0014", 1),
        ("usb:0d8c:0014@1-1.1", 1),
        ("usb:2886:001a", 2),
        ("usb:2886:001a:101991441", 2),
        ("usb:1234:5678@1-1.4", 4),
        ("usb:1234:5678@1-1.4,1", 5),
        ("default", 7),
        ("USB Audio Device", 1),
        ("respeaker", 2),
    ],
)
def test_the_one_that_is_meant(listed: list[Device], wanted: str, index: int) -> None:
    assert choose(wanted, listed).index == index


@pytest.mark.parametrize("wanted", ["usb:1234:5678", "twin", "USB Audio"])
def test_several_are_not_guessed(listed: list[Device], wanted: str) -> None:
    with pytest.raises(SoundError, match=r"is one of several: .*usb:1234:5678@1-1\.3"):
        choose(wanted, listed)


@pytest.mark.parametrize("wanted", ["null", "usb:0d8c:001", "", "usb:", "card:"])
def test_neither_null_nor_a_part_of_an_identifier_is_taken(
    listed: list[Device], wanted: str
) -> None:
    with pytest.raises(SoundError, match="is not there; found: "):
        choose(wanted, listed)


@pytest.mark.parametrize(
    "wanted", ["3", "index:1", "USB Audio Device: - (hw:1,0)", "hw:1,0", "plughw:1"]
)
def test_a_number_is_refused(listed: list[Device], wanted: str) -> None:
    """The next boot may give it to another microphone."""
    with pytest.raises(SoundError, match="changes when something is plugged in"):
        choose(wanted, listed)


def test_who_wrote_a_number_is_told_the_name_that_lasts(listed: list[Device]) -> None:
    for wanted in ("index:1", "USB Audio Device: - (hw:1,0)"):
        with pytest.raises(SoundError, match="write 'usb:0d8c:0014'"):
            choose(wanted, listed)


@pytest.mark.parametrize("place", ["proc/asound", "sys/class/sound"])
def test_what_is_not_usb_answers_to_its_card(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place / "card0"
    folder.mkdir(parents=True)
    (folder / "id").write_text("sndrpihifiberry\n")
    infos = [_info(0, "i2s: HiFi (hw:0,0)"), _info(1, "i2s: Aux (hw:0,1)")]
    board = describe(infos, HOST_APIS, -1, tmp_path)
    assert [device.id for device in board] == [
        "card:sndrpihifiberry",
        "card:sndrpihifiberry,1",
    ]
    for device in board:
        assert choose(device.id, board) == device


def test_a_card_without_a_name_answers_to_that_of_the_library(tmp_path: Path) -> None:
    board = describe([_info(0, "i2s: HiFi (hw:0,1)")], HOST_APIS, -1, tmp_path)
    assert board[0].id == "i2s: HiFi"
    assert choose(board[0].id, board) == board[0]


def test_a_twin_is_not_taken_for_the_other_that_is_away(tmp_path: Path) -> None:
    sys_card(tmp_path, 3, "1234", "5678", "1-1.3")
    alone = describe([_info(3, "Twin: (hw:3,0)")], HOST_APIS, -1, tmp_path)
    assert [device.id for device in alone] == ["usb:1234:5678"]
    assert choose("usb:1234:5678@1-1.3", alone).index == 3
    with pytest.raises(SoundError, match="is not there"):
        choose("usb:1234:5678@1-1.4", alone)


def test_the_nearest_name_comes_first(listed: list[Device]) -> None:
    with pytest.raises(SoundError, match=r"found: 'usb:0d8c:0014' \(USB Audio Device"):
        choose("usb:0d8c:0041", listed)
    with pytest.raises(SoundError, match="found: 'default'"):
        choose("defualt", listed)


def test_no_device_at_all(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no capture device found"):
        choose("default", [], tmp_path)


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev/snd").mkdir(parents=True)
    (tmp_path / "dev/snd/pcmC0D0c").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SoundError, match="pcmC0D0c; add the user to the group audio"):
        choose("default", [], tmp_path)


def test_without_a_default_input_none_is_picked(tmp_path: Path) -> None:
    devices = describe([_info(0, "some")], HOST_APIS, default=-1, root=tmp_path)
    with pytest.raises(SoundError, match="'default' is not there"):
        choose("default", devices)


def test_the_table(listed: list[Device]) -> None:
    lines = table(listed[:2] + listed[-1:], {1: [44_100, 48_000], 7: [16_000]})
    assert lines.splitlines() == [
        "MICROPHONE               NAME                                       "
        "CHANNELS  RATES THAT OPEN (HZ)",
        "usb:0d8c:0014            USB Audio Device: - (hw:1,0)               "
        "1         44100 48000",
        "usb:2886:001a:101991441  ReSpeaker 4 Mic Array: USB Audio (hw:2,0)  "
        "6         none",
        "default                  default (default)                          "
        "32        16000",
    ]
