"""What alarms sounded like: sound from before and after each, kept as FLAC.

Rules: a source's thread only copies samples, waits for nothing and never fails. One
thread of its own writes. Clips are given up, counted and told of rather than that
memory, the disk or the number of writes grows.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from asd_agent.bundle.disk import Disk
from asd_agent.capture.chunk import Block
from asd_agent.clip import Clip, Line, most_bytes
from asd_agent.clip_store import NAME, SPARE_BYTES, ClipStore
from asd_agent.config import ClipsConfig
from asd_agent.mqtt.quiet import Quiet

WAITING_CLIPS = 4
"""Clips that wait to be written; more are given up"""
LIMITS = ((60, 3_600.0), (240, 86_400.0))
"""At most so many clips in so many seconds, of all sources together: an alarm that
flickers must neither wear out the card nor push out all older clips"""
STALLED_S = 5.0
"""Seconds without sound after which a clip ends as it is"""
CLOSE_S = 2.0
"""Seconds for what is under way when the agent ends"""
_LOOK_S = 1.0
"""Seconds between two looks whether a clip still gets sound"""

log = logging.getLogger(__name__)


class Clips:
    """Keeps a clip of each alarm.

    Parameters
    ----------
    folder
        Where clips lie; made when the first one is written.
    config
        How long they are, and how much room they have.
    disk
        What writes.
    clock
        Seconds that never jump.
    spare_bytes
        Of the disk, which clips leave free.
    """

    def __init__(
        self,
        folder: Path,
        config: ClipsConfig,
        disk: Disk | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        self._config = config
        self._clock = clock
        self._quiet = Quiet(clock)
        self._store = ClipStore(
            folder, config.max_bytes, disk or Disk(), self._quiet, spare_bytes
        )
        self._seconds = config.before_s + config.after_s
        self._on = config.max_bytes > 0 and self._seconds > 0
        self._lines: dict[str, Line] = {}
        self._changed = Condition()
        self._waiting: deque[Clip] = deque()
        self._begun_s: deque[float] = deque(maxlen=max(LIMITS)[0])
        self._closing = False
        self._written = 0
        self._dropped = 0
        self._thread = Thread(target=self._run, name="clips", daemon=True)

    @property
    def written(self) -> int:
        """Clips written since the start."""
        return self._written

    @property
    def dropped(self) -> int:
        """Alarms since the start of which no clip was kept."""
        return self._dropped

    @property
    def bytes(self) -> int:
        """Room that clips take now."""
        return self._store.bytes

    @property
    def skipped(self) -> int:
        """Times that a file in the folder could not be removed to make room."""
        return self._store.skipped

    def start(self) -> None:
        """Begin to write, in the background."""
        if self._on:
            self._thread.start()

    def hear(self, source: str, block: Block, rate_hz: int) -> None:
        """Take sound of a source; called by its own thread for every block."""
        if not self._on:
            return
        try:
            line = self._lines.get(source) or self._new_line(source)
            clip = line.hear(block, rate_hz, self._clock())
            if clip is not None:
                self._leave(clip)
        except Exception as error:
            # Listening goes on whatever becomes of a clip.
            self._quiet.say("hear", "%s: no clip is kept: %r", source, error)

    def alarm(
        self, source: str, event_id: str, sidecar: Mapping[str, Any]
    ) -> str | None:
        """Begin a clip: an alarm was raised by the newest sound of a source.

        Parameters
        ----------
        event_id
            Of the alarm; the clip is called so.
        sidecar
            What is written beside the sound, as `payloads.anomaly` made it.

        Returns
        -------
        str or None
            Name of the clip that will be written; None: there will be none.
        """
        if not self._on:
            return None
        try:
            why = self._refusal(source, event_id) or self._begin(
                self._lines[source], event_id, sidecar
            )
        except Exception as error:  # such as no memory
            why = repr(error)
        if why is None:
            return event_id
        self._give_up(source, why)
        return None

    def close(self) -> None:
        """Write what is under way as far as it is; give up after 2 s."""
        with self._changed:
            self._closing = True
            ended = [line.end() for line in self._lines.copy().values()]
            self._waiting.extend(clip for clip in ended if clip is not None)
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                log.warning("clips: the disk does not answer, left behind")

    def _new_line(self, source: str) -> Line:
        line = Line(source, self._config.before_s, self._config.after_s)
        return self._lines.setdefault(source, line)

    def _refusal(self, source: str, event_id: str) -> str | None:
        """Why there cannot be a clip."""
        line = self._lines.get(source)
        if line is None or line.rate_hz is None:
            return "nothing was heard yet"
        if not NAME.fullmatch(event_id):
            return f"{event_id!r} cannot be the name of a file"
        needed = most_bytes(self._seconds, line.rate_hz)
        if needed > self._config.max_bytes:
            return (
                f"it may need {needed} bytes, and clips.max_bytes is "
                f"{self._config.max_bytes}. Allow more, or shorter clips"
            )
        return None

    def _begin(self, line: Line, name: str, sidecar: Mapping[str, Any]) -> str | None:
        """Begin a clip, or say why not."""
        with self._changed:
            now_s = self._clock()
            if self._closing:
                return "the agent ends"
            for count, within_s in LIMITS:
                begun_s = list(self._begun_s)[-count:]
                if len(begun_s) == count and now_s - begun_s[0] < within_s:
                    return f"{count} were begun in {within_s / 3600:g} h"
            if not line.begin(name, sidecar, now_s):
                return "that of the alarm before it is under way"
            self._begun_s.append(now_s)
            self._changed.notify_all()  # whether it gets sound has to be looked at
        return None

    def _leave(self, clip: Clip) -> None:
        """Hand a clip to the writer, unless too many wait already."""
        with self._changed:
            room = len(self._waiting) < WAITING_CLIPS
            if room:
                self._waiting.append(clip)
                self._changed.notify_all()
        if not room:
            self._give_up(clip.source, "the disk is too slow for so many clips")

    def _give_up(self, source: str, why: str) -> None:
        with self._changed:
            self._dropped += 1
            total = self._dropped
        text = "%s: no clip of this alarm is kept: %s; %d given up so far"
        self._quiet.say("given up", text, source, why, total)

    def _run(self) -> None:
        try:
            self._store.tidy()
        except OSError as error:
            self._quiet.say("tidy", "clips: cannot be looked at: %s", error)
        while (clip := self._next()) is not None:
            self._write(clip)

    def _next(self) -> Clip | None:
        """Wait for a clip; None: there will be no more."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                lines = list(self._lines.values())
                busy = [line for line in lines if line.recording]
                for line in busy:
                    self._end_stalled(line)
                if not self._waiting:
                    self._changed.wait(_LOOK_S if busy else None)
            return self._waiting.popleft()

    def _end_stalled(self, line: Line) -> None:
        """End the clip of a source that gives no sound any more."""
        if self._clock() - line.heard_s > STALLED_S:
            clip = line.end()
            if clip is not None:
                self._waiting.append(clip)

    def _write(self, clip: Clip) -> None:
        try:
            if len(clip.samples) == 0:
                raise OSError("nothing was heard")
            self._store.write(clip.name, clip.encode())
        except OSError as error:
            self._give_up(clip.source, error.strerror or str(error))
        except Exception as error:
            # A bug in one clip must not end all others.
            log.exception("clips: %s cannot be written", clip.name)
            self._give_up(clip.source, repr(error))
        else:
            self._written += 1
            log.info("%s: kept the clip %s", clip.source, clip.name)
