"""Media that stop after so many changes, or write down what was asked of them."""

from pathlib import Path

from asd_agent.bundle.disk import Disk


class Crash(BaseException):
    """The process ends here: nothing catches this, as nothing catches SIGKILL."""


class Quick(Disk):
    """Waits for no medium: a crash of the process alone loses nothing of the rest."""

    def sync(self, fd: int) -> None:
        """Do nothing."""


class Recorder(Quick):
    """Writes down each primitive with the names that it is about."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def _before(self, what: str, *paths: Path) -> None:
        self.log.append(" ".join([what, *(path.name for path in paths)]))

    def open(self, path: Path, flags: int) -> int:
        self._before("open", path)
        return super().open(path, flags)

    def write(self, fd: int, raw: bytes) -> None:
        self._before("write", _name(fd))
        super().write(fd, raw)

    def sync(self, fd: int) -> None:
        self._before("sync", _name(fd))
        super().sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._before("rename", old, new)
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._before("remove", path)
        super().remove(path)

    def make_folder(self, path: Path) -> None:
        self._before("make_folder", path)
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self._before("remove_folder", path)
        super().remove_folder(path)


class CrashingDisk(Recorder):
    """Carries out so many primitives; from then on each one is a `Crash`.

    Parameters
    ----------
    after
        Primitives that are carried out.
    torn
        Whether half of the bytes of a write that crashes are written.
    """

    def __init__(self, after: int, *, torn: bool = False) -> None:
        super().__init__()
        self._left = after
        self._torn = torn

    def _before(self, what: str, *paths: Path) -> None:
        if self._left <= 0:
            raise Crash
        self._left -= 1
        super()._before(what, *paths)

    def write(self, fd: int, raw: bytes) -> None:
        if self._torn and self._left == 0:
            Disk.write(self, fd, raw[: len(raw) // 2])
            self._torn = False
        super().write(fd, raw)


def _name(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()
