"""Targets that are broken in every way that the fuzzer must see."""

import ctypes
import logging
import time

from faults.fuzz_target import Make, Target

SEED = b"a" * 99


def _raise(content: bytes) -> None:
    content.decode("ascii")


def _log(content: bytes) -> None:
    try:
        content.decode("ascii")
    except ValueError:
        logging.getLogger(__name__).exception("caught, and told to the log alone")


def _die(content: bytes) -> None:
    if content != SEED:
        ctypes.string_at(0)


def _hang(content: bytes) -> None:
    while content != SEED:
        time.sleep(1)


def _swell(content: bytes) -> None:
    if content != SEED:
        bytearray(1 << 30)


BROKEN: dict[str, Make] = {
    "that raises": lambda _: Target("that raises", (SEED,), _raise),
    "that logs": lambda _: Target("that logs", (SEED,), _log),
    "that dies": lambda _: Target("that dies", (SEED,), _die),
    "that hangs": lambda _: Target("that hangs", (SEED,), _hang, most_s=0.3),
    "that swells": lambda _: Target("that swells", (SEED,), _swell),
}
