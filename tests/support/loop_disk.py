"""A small disk of its own: a file system in a file. Needs root."""

import subprocess
import time
from pathlib import Path
from types import TracebackType

SECTOR_BYTES = 512


class LoopDisk:
    """An ext4 that is mounted while the block runs; it may be mounted again."""

    def __init__(
        self, folder: Path, size_bytes: int, *, journal: bool = True, options: str = ""
    ) -> None:
        """Make the file system.

        Parameters
        ----------
        folder
            Holds the file and the place where it is mounted.
        journal
            Whether it has one, which takes a quarter of 4 MB.
        options
            Of its mount, as ``commit=1``.
        """
        self.root = folder / "disk"
        self.root.mkdir(parents=True)
        self.image = folder / "image"
        self._options = f"loop,{options}" if options else "loop"
        with self.image.open("wb") as file:
            file.truncate(size_bytes)
        plain = () if journal else ("-O", "^has_journal")
        _run("mkfs.ext4", "-q", "-F", "-m", "0", *plain, self.image)

    def remount(self, options: str) -> None:
        """Mount it anew with other options."""
        _run("mount", "-o", f"remount,{options}", self.root)

    def freeze(self) -> None:
        """Let everybody who writes wait, as a disk does that hangs."""
        _run("fsfreeze", "--freeze", self.root)

    def thaw(self) -> None:
        """Let them go on."""
        _run("fsfreeze", "--unfreeze", self.root)

    def fill(self) -> Path:
        """Take all the room that is left; the file that takes it."""
        path = self.root / "filler"
        with path.open("wb", buffering=0) as file:
            for size in (65_536, 4096, 512, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        return path

    def written_bytes(self) -> int:
        """What has reached the device since it was made."""
        self.flush()
        source = _run("findmnt", "-no", "SOURCE", self.root).strip()
        stat = Path("/sys/block", Path(source).name, "stat").read_text(encoding="ascii")
        return int(stat.split()[6]) * SECTOR_BYTES

    def flush(self) -> None:
        """Write everything out, also what the file system puts off."""
        _run("sync", "--file-system", self.root)

    def __enter__(self) -> "LoopDisk":
        _run("mount", "-o", self._options, self.image, self.root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in range(100):
            words = ("umount", self.root)
            if not subprocess.run(words, check=False, capture_output=True).returncode:
                return
            time.sleep(0.05)
        _run("umount", "--lazy", self.root)


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout
