"""The kernel's files about sound cards, laid out in a folder."""

import os
from pathlib import Path

import pytest

from asd_agent.capture.asound import UsbCard, forbidden, holder, usb_card
from support.sound_cards import proc_card, sys_card


def test_a_usb_card_is_known_by_its_serial_and_port(tmp_path: Path) -> None:
    proc_card(tmp_path, 1, "0d8c:0014")
    sys_card(tmp_path, 1, "0D8C", "0014", "1-1.2", serial="A 77")
    assert usb_card(1, tmp_path) == UsbCard("0d8c:0014", "A 77", "1-1.2")


def test_in_a_container_sys_is_enough(tmp_path: Path) -> None:
    sys_card(tmp_path, 2, "2886", "001A", "1-1.4")
    assert usb_card(2, tmp_path) == UsbCard("2886:001a", "", "1-1.4")


def test_without_sys_the_product_is_known(tmp_path: Path) -> None:
    proc_card(tmp_path, 0, "0d8c:0014")
    assert usb_card(0, tmp_path) == UsbCard("0d8c:0014", "", "")


def test_a_card_of_the_board_is_none(tmp_path: Path) -> None:
    (tmp_path / "proc/asound/card0").mkdir(parents=True)
    board = tmp_path / "sys/devices/platform/soc/sound/card0"
    board.mkdir(parents=True)
    (board / "device").symlink_to("../..")
    (tmp_path / "sys/class/sound").mkdir(parents=True)
    (tmp_path / "sys/class/sound/card0").symlink_to(board)
    assert usb_card(0, tmp_path) is None
    assert usb_card(7, tmp_path) is None


def test_who_captures_is_named(tmp_path: Path) -> None:
    assert holder(1, tmp_path) == ""
    status = tmp_path / "proc/asound/card1/pcm0c/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("closed\n")
    assert holder(1, tmp_path) == ""
    status.write_text("state: RUNNING\nowner_pid   : 711\ntrigger_time: 1.5\n")
    assert holder(1, tmp_path) == "process (711)"
    (tmp_path / "proc/711").mkdir()
    (tmp_path / "proc/711/comm").write_text("arecord\n")
    assert holder(1, tmp_path) == "arecord (711)"


def test_what_may_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = tmp_path / "dev/snd"
    nodes.mkdir(parents=True)
    for name in ("controlC0", "pcmC0D0p", "pcmC0D0c", "pcmC1D0c"):
        (nodes / name).touch()
    assert forbidden(tmp_path) == []
    # Root may open anything, so that permission bits alone would show nothing.
    monkeypatch.setattr(os, "access", lambda path, _: "C1" in str(path))
    assert forbidden(tmp_path) == [nodes / "pcmC0D0c"]
