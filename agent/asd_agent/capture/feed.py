"""From a source to blocks at the rate of the front end."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Thread

from asd_agent.capture.chunk import Block, Samples, Source
from asd_agent.capture.resample import NOTHING, Resampler
from asd_agent.capture.ring import Ring
from asd_agent.capture.signal_health import ClippingWatch
from asd_agent.errors import SoundError

RING_S = 15.0
"""What a reader can lag behind: one that is a little too slow falls behind so far in
a minute, after which it does less"""
CLOSE_WAIT_S = 0.8
"""A source that waits longer than this for its next chunk is left behind"""

log = logging.getLogger(__name__)


class Feed:
    """Resamples a source and hands it on in blocks with a sample counter.

    A source that is live is read by a thread, so that a slow reader loses
    old samples and never the newest. Any other source is read as the blocks
    are asked for, through the same ring, and loses nothing.

    Parameters
    ----------
    source : Source
        Closed with the feed.
    rate_hz : int
        Rate of the blocks.
    ring_s : float
        Seconds that a slow reader may lag behind.
    block_s : float
        Longest block, in seconds.
    stall_s : float
        Seconds without a sample after which a live source counts as lost.
    """

    def __init__(
        self,
        source: Source,
        rate_hz: int,
        ring_s: float = RING_S,
        block_s: float = 0.2,
        stall_s: float = 10.0,
    ) -> None:
        self.source = source
        self.rate_hz = rate_hz
        self._block = max(1, round(block_s * rate_hz))
        self._ring = Ring(max(self._block, round(ring_s * rate_hz)))
        self._stall_s = stall_s
        self._stop = Event()
        self._thread: Thread | None = None
        self._error: Exception | None = None
        self._overflows = 0
        self._narrow = False

    @property
    def flaw(self) -> str:
        """Why all of its sound is not to be trusted, in a word; empty: it is.

        ``narrow``: the source is slower than the front end, which would hear
        nothing in its upper bands; else see `Source.flaw`.
        """
        return "narrow" if self._narrow else self.source.flaw

    @property
    def overruns(self) -> int:
        """Times that the reader of the blocks was too slow."""
        return self._ring.overruns

    @property
    def lost_samples(self) -> int:
        """Samples at `rate_hz` that a slow reader lost."""
        return self._ring.lost_samples

    @property
    def skipped_samples(self) -> int:
        """Samples at `rate_hz` that the source lost, as far as that is known."""
        return self._ring.skipped_samples

    @property
    def overflows(self) -> int:
        """Chunks with a gap: the source itself lost samples."""
        return self._overflows

    def blocks(self) -> Iterator[Block]:
        """Wait for each next block; ends where the source ends or at `close`.

        Raises
        ------
        SoundError
            The source gives no usable sound, or none for `stall_s`.
        """
        for block in self._inline() if not self.source.live else self._threaded():
            flaw = self.flaw
            yield replace(block, flaw=flaw) if flaw else block

    def _threaded(self) -> Iterator[Block]:
        self._thread = Thread(target=self._pump, name="feed", daemon=True)
        self._thread.start()
        while not self._ring.ended:
            block = self._ring.read(self._block, self._stall_s)
            if block is not None:
                yield block
            elif not self._ring.ended:
                raise SoundError(
                    f"{self.source.name}: no sound for {self._stall_s:g} s; "
                    "the device may be unplugged: check its cable"
                )
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop the thread and close the source, in less than a second."""
        self._stop.set()
        if self._thread is None:
            self.source.close()
        else:
            self._thread.join(CLOSE_WAIT_S)
            if self._thread.is_alive():
                log.warning("%s: does not stop, left behind", self.source.name)
        self._ring.close()

    def _inline(self) -> Iterator[Block]:
        for samples, gap, clipped in self._resampled():
            for at in range(0, len(samples), self._block):
                self._ring.write(samples[at : at + self._block], gap, clipped)
                block = self._ring.read(self._block, 0.0)
                if block is not None:
                    yield block

    def _pump(self) -> None:
        try:
            for samples, gap, clipped in self._resampled():
                self._ring.write(samples, gap, clipped)
        except Exception as error:  # raised again where the blocks are read
            self._error = error
        finally:
            self.source.close()
            self._ring.close()

    def _resampled(self) -> Iterator[tuple[Samples, bool, bool]]:
        """Yield samples at `rate_hz`, whether a gap reaches them, and clipping."""
        resampler = Resampler(self.rate_hz, self.rate_hz)
        watch = ClippingWatch()
        tainted, clipped = 0, False
        for chunk in self.source.chunks():
            if self._stop.is_set():
                return
            if resampler.in_hz != chunk.rate_hz:
                yield resampler.push(NOTHING, last=True), tainted > 0, clipped
                resampler = self._resampler(chunk.rate_hz)
            samples = resampler.push(chunk.samples)
            if chunk.lost:
                self._ring.skip(chunk.lost * self.rate_hz // chunk.rate_hz)
            if chunk.gap:
                self._overflows += 1
                # What the filter holds back ends where the chunk ends, and the
                # filter reaches no further past it than it holds back.
                tainted = len(samples) + 2 * resampler.held
            clipped = watch.push(chunk.samples, chunk.rate_hz)
            yield samples, tainted > 0, clipped
            tainted = max(0, tainted - len(samples))
        yield resampler.push(NOTHING, last=True), tainted > 0, clipped

    def _resampler(self, rate_hz: int) -> Resampler:
        self._narrow = rate_hz < self.rate_hz
        if self._narrow:
            log.warning(
                "%s: has %d Hz, the front end %d Hz: it hears nothing above %d Hz and "
                "is not called normal; use a microphone, or a rate, that is faster",
                self.source.name,
                rate_hz,
                self.rate_hz,
                rate_hz // 2,
            )
        return Resampler(rate_hz, self.rate_hz)
