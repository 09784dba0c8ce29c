"""Targets: recordings of every kind, and the sound that was kept."""

import io
import random
from contextlib import closing
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import read_info
from asd_agent.capture.feed import Feed
from asd_agent.capture.recording import Recording
from asd_agent.errors import SoundError
from asd_agent.kept import INDEX, KeptSound, file_name
from faults.fuzz_target import Make, Target
from faults.mutation import altered_json, beginning, mutated
from support.bundles import SMALL, forge
from support.kept import kept
from support.sounds import noise

FORMATS = {
    "WAV": [
        *(("WAV", sub) for sub in ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE")),
        *(("WAV", sub) for sub in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")),
        *(("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16")),
    ],
    "FLAC": [("FLAC", sub) for sub in ("PCM_S8", "PCM_16", "PCM_24")],
    "Ogg and MP3": [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
    "AIFF, AU and CAF": [
        *(("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("AIFF", "IMA_ADPCM")),
        *(("AU", "PCM_16"), ("AU", "ULAW"), ("AU", "G721_32")),
        *(("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("CAF", "FLOAT")),
    ],
}
"""Formats and subtypes as soundfile calls them"""
RATE_HZ = 16_000
REFUSALS = (SoundError,)


def recordings(folder: Path, kind: str) -> Target:
    """Recordings of one family, played to their end."""
    path = folder / "tape"

    def read(content: bytes) -> None:
        _replace(path, content)
        with closing(Feed(Recording(path, channel=0), RATE_HZ)) as feed:
            for block in feed.blocks():
                assert np.isfinite(block.samples).all()

    seeds = tuple(_recording(*written) for written in FORMATS[kind])
    return Target(f"recordings, {kind}", seeds, read, _tampered, REFUSALS)


def _replace(path: Path, content: bytes) -> None:
    """Write another file: one that was refused is not looked at again."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _recording(form: str, sub: str) -> bytes:
    channels = 1 if sub in {"GSM610", "G721_32"} else 2
    sound = noise(2 * 1600).reshape(-1, 2)[:, :channels]
    with io.BytesIO() as file:
        soundfile.write(file, sound, RATE_HZ, format=form, subtype=sub)
        return file.getvalue()


def _tampered(rng: random.Random, content: bytes) -> bytes:
    tamper = rng.choice((mutated, beginning, _blocks))
    return tamper(rng, content)


def _blocks(rng: random.Random, content: bytes) -> bytes:
    """Larger pieces cut out, doubled or exchanged."""
    raw = bytearray(content)
    size = rng.randrange(1, max(2, len(raw) // 3))
    at, other = rng.randrange(len(raw)), rng.randrange(len(raw))
    raw[at : at + rng.choice((0, size))] = raw[other : other + size]
    return bytes(raw)


def _learnt(folder: Path) -> Path:
    """A folder of kept sound."""
    members = open_members(Bundle.open(forge(folder / "bundle")))
    site = folder / "sites" / "pump" / "forged-1.safetensors"
    kept(members, site, noise(3 * SMALL.rate_hz, seed=5, level=0.4))
    return site.parent / read_info(site).sound


def _hear(folder: Path) -> None:
    sound = KeptSound.open(folder)
    for number in range(min(3, len(sound.index.segments))):
        for _ in sound.blocks(number, 8000):
            continue


def kept_index(folder: Path) -> Target:
    """The index of kept sound."""
    sound = _learnt(folder)

    def read(content: bytes) -> None:
        (sound / INDEX).write_bytes(content)
        _hear(sound)

    seed = (sound / INDEX).read_bytes()
    return Target("kept sound, index", (seed,), read, altered_json, REFUSALS)


def kept_file(folder: Path) -> Target:
    """A file of kept sound."""
    sound = _learnt(folder)
    path = sound / file_name(0)

    def read(content: bytes) -> None:
        _replace(path, content)
        _hear(sound)

    seed = path.read_bytes()
    return Target("kept sound, file", (seed,), read, _tampered, REFUSALS)


def _of(kind: str) -> Make:
    return lambda folder: recordings(folder, kind)


SOUND: dict[str, Make] = {
    **{f"recordings, {kind}": _of(kind) for kind in FORMATS},
    "kept sound, index": kept_index,
    "kept sound, file": kept_file,
}
