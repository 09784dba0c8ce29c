"""How the agent and its sources do at one moment, for `health` and for Prometheus."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from asd_agent import __version__
from asd_agent.clips import Clips
from asd_agent.coverage import Kind
from asd_agent.health.snapshot import Snapshot, SourceSnapshot
from asd_agent.health.system import System
from asd_agent.mqtt.publisher import Publisher
from asd_agent.worker import Worker


class Vitals:
    """Reads it off the parts of a running agent; any thread may.

    Parameters
    ----------
    state_dir
        Folder whose disk is looked at.
    running
        Tells the bundle that decides: identifier and version.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        state_dir: Path,
        workers: Sequence[Worker],
        publisher: Publisher | None,
        clips: Clips,
        *,
        running: Callable[[], tuple[str, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state_dir = state_dir
        self._workers = workers
        self._publisher = publisher
        self._clips = clips
        self._running = running
        self._clock = clock
        self._started_s = clock()

    def read(self) -> Snapshot:
        """Look at all of it."""
        bundle_id, version = self._running()
        link = self._publisher
        return Snapshot(
            version=__version__,
            uptime_s=self._clock() - self._started_s,
            bundle_id=bundle_id,
            bundle_version=version,
            sources=tuple(self._source(worker) for worker in self._workers),
            system=System.read(self._state_dir),
            connected=link.connected if link else None,
            connections=link.reconnects if link else None,
            messages_waiting=link.waiting if link else None,
            messages_dropped=link.dropped if link else None,
            messages_refused=link.refused if link else None,
            messages_undurable=link.undurable if link else None,
            messages_unheard=link.unheard if link else None,
            taken_over=link.taken_over if link else None,
            clips_written=self._clips.written,
            clips_dropped=self._clips.dropped,
            clips_bytes=self._clips.bytes,
        )

    def _source(self, worker: Worker) -> SourceSnapshot:
        newest, heard_s = worker.newest, worker.heard_s
        seconds = self._seconds(worker)
        return SourceSnapshot(
            name=worker.source.name,
            state=worker.state.value,
            reason=newest.reason if newest else "",
            score=newest.score if newest else None,
            p_value=newest.p_value if newest else None,
            level_dbfs=newest.level_dbfs if newest else None,
            sound_age_s=None if heard_s is None else self._clock() - heard_s,
            step_s=None if worker.step_ms is None else worker.step_ms / 1000,
            hop_s=worker.shift_s,
            load=worker.load.share,
            windows=worker.scored_windows,
            windows_dropped=worker.windows_dropped,
            heard_s=sum(seconds.values()),
            scored_s=seconds[Kind.SCORED],
            learnt_s=seconds[Kind.LEARNT],
            suspect_s=seconds[Kind.SUSPECT],
            gap_s=seconds[Kind.GAP],
            silent_s=seconds[Kind.SILENT],
            lost_samples=worker.lost_samples,
            overflows=worker.dropouts,
            capture_restarts=worker.reopened,
            degraded=worker.load.degraded,
        )

    @staticmethod
    def _seconds(worker: Worker) -> dict[Kind, float]:
        seconds = dict.fromkeys(Kind, 0.0)
        for (kind, _), samples in worker.coverage.totals.copy().items():
            seconds[kind] += samples / worker.rate_hz
        return seconds
