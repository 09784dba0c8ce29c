"""Recordings of a folder: of DCASE Task 2 of any year, or in a layout like it."""

from collections.abc import Iterable
from pathlib import Path

from asd_agent.errors import SoundError
from asd_train.data.layouts import LAYOUTS, audio_files, detect
from asd_train.data.names import Clip, parse

__all__ = ["Clip", "parse", "read_clips", "read_folder"]


def read_clips(
    root: Path,
    machines: Iterable[str] = (),
    *,
    layout: str = "auto",
    channel: int = 0,
) -> tuple[Clip, ...]:
    """Find all clips below a folder.

    Parameters
    ----------
    root : Path
        Holds recordings in one of the layouts; in DCASE's at any depth.
    machines : iterable of str
        Take these types alone; none given: all.
    layout : str
        `dcase`, `mimii`, `toyadmos`, `labels` (a table ``labels.csv``) or `classes`
        (a folder a class); `auto`: found by what is there.
    channel : int
        Channel to read of recordings that have several, from 0.

    Returns
    -------
    tuple of Clip
        Sorted by path; empty if there are no recordings.

    Raises
    ------
    SoundError
        The folder is not there, is in none of the layouts, or holds a file that the
        layout does not allow.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise SoundError(
            f"layout {layout!r} is none of auto, {', '.join(LAYOUTS)}: name one of them"
        )
    if channel < 0:
        raise SoundError(f"channel {channel} must be 0 or more")
    if root.name in ("", ".."):
        root = root.resolve()
    files = audio_files(root)
    name = detect(root, files) if layout == "auto" else layout
    if not name:
        return ()
    read = LAYOUTS[name]
    wanted = set(machines)
    return tuple(
        clip
        for clip in read(root, files, channel)
        if not wanted or clip.machine in wanted
    )


def read_folder(
    root: Path,
    split: str,
    machines: Iterable[str] = (),
    *,
    layout: str = "auto",
    channel: int = 0,
) -> tuple[Clip, ...]:
    """Find the clips of one split, `train` or `test`, below a folder.

    The rest is as in `read_clips`.

    Raises
    ------
    SoundError
        As `read_clips`, or there is no such split.
    """
    if split not in ("train", "test"):
        raise SoundError(f"split {split!r} must be train or test")
    clips = read_clips(root, machines, layout=layout, channel=channel)
    return tuple(clip for clip in clips if clip.split == split)
