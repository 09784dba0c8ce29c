"""What is measured of a sound, and what is said of it."""

import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from asd_agent.bundle.site import Site, SiteInfo
from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.doctor import sound
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.doctor.likeness import Likeness
from asd_agent.doctor.listening import Heard, listen
from asd_agent.doctor.meter import Meter, RateMeter, edge_hz
from asd_agent.errors import SoundError
from asd_agent.features.spec import SecomSpec
from support.sounds import Played, noise

RATE_HZ = 16_000
SPEC = SecomSpec()


def chunks(
    samples: Samples, rate_hz: int = RATE_HZ, gaps: frozenset[int] = frozenset()
) -> Iterator[Chunk]:
    size = rate_hz // 10
    for turn, at in enumerate(range(0, len(samples), size)):
        lost = 100 if turn in gaps else 0
        yield Chunk(samples[at : at + size], rate_hz, turn in gaps, lost)


def measured(
    samples: Samples, rate_hz: int = RATE_HZ, gaps: frozenset[int] = frozenset()
) -> Meter:
    meter, at_s = Meter(), 0.0
    for chunk in chunks(samples, rate_hz, gaps):
        at_s += len(chunk.samples) / rate_hz
        meter.push(chunk, at_s)
    return meter


def judged(meter: Meter, heard: Heard | None = None) -> dict[str, Finding]:
    told = heard or Heard(0.2, meter.samples / max(1, meter.rate_hz))
    return {f.subject: f for f in sound.judge(told, meter, live=True)}


def grades(found: dict[str, Finding]) -> dict[str, str]:
    return {name: f.grade.value for name, f in found.items()}


def test_good_sound() -> None:
    found = judged(measured(noise(5 * RATE_HZ)))
    assert grades(found) == dict.fromkeys(("sound", "rate", "level", "clipping"), "ok")
    assert found["sound"].text == "the first after 0.2 s, 5.0 s heard, no dropout"
    assert found["level"].figures["level_dbfs"] == pytest.approx(-20, abs=0.1)


def with_gap(share: float) -> Samples:
    samples = noise(5 * RATE_HZ)
    samples[: int(share * RATE_HZ)] = 0.0
    return samples


BAD: dict[str, tuple[Callable[[], Samples], str, Grade, str]] = {
    "zeros": (
        lambda: np.zeros(5 * RATE_HZ, np.float32),
        *("signal", Grade.FAIL, "digital silence: every sample is exactly 0"),
    ),
    "stuck": (
        lambda: np.full(5 * RATE_HZ, 0.25, np.float32),
        *("signal", Grade.FAIL, "stuck: every sample is 0.25"),
    ),
    "some zeros": (
        lambda: with_gap(0.3),
        *("signal", Grade.WARN, "0.30 s of digital silence at a stretch; 6.0 % of"),
    ),
    "deaf": (
        lambda: noise(5 * RATE_HZ, level=1e-5),
        *("level", Grade.FAIL, "deaf, nothing but rounding noise"),
    ),
    "faint": (lambda: noise(5 * RATE_HZ, level=1e-4), *("level", Grade.WARN, "faint")),
    "offset": (
        lambda: noise(5 * RATE_HZ) + np.float32(0.1),
        *("level", Grade.WARN, "DC 1"),
    ),
    "far off": (
        lambda: noise(5 * RATE_HZ) + np.float32(0.5),
        *("level", Grade.FAIL, "a constant offset"),
    ),
    "clipped": (
        lambda: np.clip(noise(5 * RATE_HZ, level=2), -1, 1),
        *("clipping", Grade.FAIL, "62 % of the samples are at full scale"),
    ),
    "clipped at times": (
        lambda: np.clip(noise(5 * RATE_HZ, level=0.29), -1, 1),
        *("clipping", Grade.WARN, "of the samples are at full scale"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sound(name: str) -> None:
    make, subject, grade, text = BAD[name]
    found = judged(measured(make()))[subject]
    assert found.grade is grade
    assert text in found.text
    assert found.fix
    assert found.exit_code == (SoundError.exit_code if grade is Grade.FAIL else 0)


@pytest.mark.parametrize(
    ("gaps", "grade"),
    [({0}, Grade.OK), ({7}, Grade.WARN), ({3, 7, 11, 20, 25, 31}, Grade.FAIL)],
)
def test_dropouts(gaps: set[int], grade: Grade) -> None:
    found = judged(measured(noise(5 * RATE_HZ), gaps=frozenset(gaps)))["sound"]
    assert found.grade is grade
    if grade is not Grade.OK:
        count = "1 dropout" if len(gaps) == 1 else f"{len(gaps)} dropouts"
        assert found.text.endswith(f"{count} of {100 * len(gaps)} samples")


def test_no_sound_at_all() -> None:
    found = judged(Meter(), Heard(None, 0.0, stalled=True))["sound"]
    assert (found.grade, found.exit_code) == (Grade.FAIL, 3)
    assert found.text == "opened, and gives no sound"


def test_sound_that_ends_early() -> None:
    meter = measured(noise(2 * RATE_HZ))
    stalled = judged(meter, Heard(0.1, 2.0, stalled=True))["sound"]
    unplugged = judged(meter, Heard(0.1, 2.0, SoundError("gone; plug it in")))["sound"]
    assert stalled.text.endswith("2.0 s heard; then nothing came any more")
    assert unplugged.text.endswith("2.0 s heard; gone; plug it in")
    assert stalled.grade is unplugged.grade is Grade.FAIL


def test_an_error_before_any_sound_is_told_as_it_is() -> None:
    with pytest.raises(SoundError, match="in use by"):
        judged(Meter(), Heard(None, 0.0, SoundError("in use by arecord (711)")))
    with pytest.raises(ZeroDivisionError):
        judged(Meter(), Heard(None, 0.0, ZeroDivisionError("a fault of ours")))


def fitted(
    true_hz: float, seconds: float, jitter_s: float = 0.0, burst: int = 0
) -> RateMeter:
    rng = np.random.default_rng(4)
    meter = RateMeter()
    for _ in range(burst):
        meter.push(RATE_HZ // 10, 0.0, gap=False)
    for turn in range(round(seconds * 10)):
        late_s = abs(rng.normal(0, jitter_s))
        at_s = turn * RATE_HZ / 10 / true_hz + late_s
        meter.push(RATE_HZ // 10, at_s, gap=False)
    return meter


def rated(meter: RateMeter) -> Finding:
    whole = measured(noise(RATE_HZ))
    whole.rate = meter
    return sound.rate(whole)


@pytest.mark.parametrize("true_hz", [15_900, 16_000, 16_100])
@pytest.mark.parametrize("jitter_s", [0.0, 0.002, 0.03])
def test_a_true_rate_is_not_complained_about(true_hz: int, jitter_s: float) -> None:
    found = rated(fitted(true_hz, 5, jitter_s, burst=10))
    assert found.grade is Grade.OK
    assert found.figures["measured_hz"] == pytest.approx(true_hz, rel=0.012)


@pytest.mark.parametrize("true_hz", [8_000, 15_500, 16_500, 48_000])
@pytest.mark.parametrize("jitter_s", [0.0, 0.01])
def test_a_wrong_rate_is_told(true_hz: int, jitter_s: float) -> None:
    found = rated(fitted(true_hz, 8, jitter_s))
    assert (found.grade, found.exit_code) == (Grade.FAIL, 3)
    assert "every frequency is shifted" in found.text
    assert found.figures["measured_hz"] == pytest.approx(true_hz, rel=0.02)


def test_a_rate_that_is_hardly_known_says_so() -> None:
    found = rated(fitted(16_000, 3, 0.08))
    assert found.grade is Grade.OK
    assert found.text.endswith("listen for longer to know it better: --seconds 30")


def test_a_rate_is_not_known_of_little_sound() -> None:
    assert rated(RateMeter()).grade is Grade.WARN
    assert rated(fitted(16_000, 1.2)).grade is Grade.WARN


def test_lost_samples_are_not_taken_for_a_wrong_rate() -> None:
    meter = RateMeter()
    for turn in range(80):
        late_s = 0.5 if turn >= 35 else 0.0
        meter.push(RATE_HZ // 10, turn / 10 + late_s, gap=turn == 35)
    found = meter.fit()
    assert found is not None
    assert found.rate_hz == pytest.approx(RATE_HZ, rel=1e-6)


def low_passed(hz: float, rate_hz: int = 48_000) -> Samples:
    spectrum = np.fft.rfft(noise(4 * rate_hz))
    spectrum[int(len(spectrum) * hz / (rate_hz / 2)) :] = 0
    return np.fft.irfft(spectrum).astype(np.float32)


@pytest.mark.parametrize("hz", [3_400, 4_000, 6_000])
def test_a_bandwidth_that_ends_early(hz: float) -> None:
    meter = measured(low_passed(hz), 48_000)
    assert meter.edge_hz == pytest.approx(hz, abs=200)
    found = sound.bandwidth(meter, 8_000)
    assert found.grade is Grade.WARN
    assert "and the bundle listens up to 8,000 Hz" in found.text


def test_a_bandwidth_that_is_enough() -> None:
    found = sound.bandwidth(measured(low_passed(12_000), 48_000), 8_000)
    assert found.grade is Grade.OK


def test_a_rate_that_is_too_low() -> None:
    found = sound.bandwidth(measured(noise(16_000), 8_000), 8_000)
    assert (found.grade, found.exit_code) == (Grade.FAIL, 3)
    assert found.text.startswith("4,000 Hz (half of 8,000 Hz)")


def pink() -> Samples:
    spectrum = np.fft.rfft(noise(4 * 48_000))
    spectrum /= 1 + np.arange(len(spectrum))
    return np.fft.irfft(spectrum).astype(np.float32)


def tone() -> Samples:
    turns = 1_000 * np.arange(4 * 48_000) / 48_000
    samples: Samples = (0.3 * np.sin(2 * np.pi * turns)).astype(np.float32)
    return samples


@pytest.mark.parametrize("make", [pink, tone, lambda: noise(4 * 48_000)])
def test_sound_that_falls_off_by_itself_is_no_narrow_bandwidth(
    make: Callable[[], Samples],
) -> None:
    assert measured(make(), 48_000).edge_hz is None


def test_too_short_a_spectrum_has_no_edge() -> None:
    assert edge_hz(np.ones(5), 48_000) is None
    assert measured(noise(1_000)).edge_hz is None


def test_measuring_does_not_depend_on_the_chunks() -> None:
    samples = np.round(noise(3 * RATE_HZ), 2)
    whole, parts = Meter(), Meter()
    whole.push(Chunk(samples, RATE_HZ), 0.0)
    at = 0
    for size in (1, 7, 512, 16_000, 4_096, 99):
        parts.push(Chunk(samples[at : at + size], RATE_HZ), 0.0)
        at += size
    parts.push(Chunk(samples[at:], RATE_HZ), 0.0)
    for name in ("samples", "zeros", "railed", "peak", "edge_hz"):
        assert getattr(whole, name) == getattr(parts, name)
    assert whole.constant.longest == parts.constant.longest
    assert whole.level_dbfs == pytest.approx(parts.level_dbfs)
    assert whole.spectrum.power() == pytest.approx(parts.spectrum.power())


class Silent:
    """A source that opens and then hangs until it is closed."""

    name, live, flaw = "silent", True, ""

    def __init__(self, before: Iterable[Chunk] = ()) -> None:
        self.closed = threading.Event()
        self._before = before

    def chunks(self) -> Iterator[Chunk]:
        yield from self._before
        self.closed.wait(10)

    def close(self) -> None:
        self.closed.set()


def test_listening_ends_after_so_much_sound() -> None:
    heard: list[Chunk] = []
    source = Played(chunks(noise(20 * RATE_HZ)))
    found = listen(source, 3.0, lambda chunk, at_s: heard.append(chunk))
    assert found.seconds == pytest.approx(3.0, abs=0.11)
    assert len(heard) in (30, 31)
    assert (found.error, found.stalled) == (None, False)


def test_listening_ends_with_the_source() -> None:
    found = listen(Played(chunks(noise(RATE_HZ))), 3.0, lambda *_: None)
    assert found.seconds == pytest.approx(1.0)
    assert (found.error, found.stalled) == (None, False)


def test_listening_ends_where_nothing_comes() -> None:
    source = Silent()
    found = listen(source, 3.0, lambda *_: None, first_s=0.1)
    assert found == Heard(None, 0.0, stalled=True)
    assert source.closed.is_set()


def test_listening_ends_where_nothing_comes_any_more() -> None:
    source = Silent(chunks(noise(RATE_HZ)))
    found = listen(source, 3.0, lambda *_: None, stall_s=1.0)
    assert found.stalled
    assert found.seconds == pytest.approx(1.0)


def test_an_error_of_the_source_ends_it() -> None:
    def unplugged() -> Iterator[Chunk]:
        yield from chunks(noise(RATE_HZ))
        raise SoundError("unplugged")

    found = listen(Played(unplugged()), 3.0, lambda *_: None)
    assert str(found.error) == "unplugged"


def likeness(samples: Samples, rate_hz: int = RATE_HZ) -> Likeness:
    made = Likeness(SPEC)
    for chunk in chunks(samples, rate_hz):
        made.push(chunk)
    return made


def site() -> Site:
    """Learnt of noise at -20 dBFS."""
    levels = np.stack(likeness(noise(10 * RATE_HZ, seed=1))._levels)
    return Site(SiteInfo("b", {}, "2026-11-21T00:00:00Z", 10.0), levels, {})


@pytest.mark.parametrize(
    ("level", "grade", "words"),
    [
        (0.11, Grade.OK, "over what was learnt"),
        (0.3, Grade.OK, "over what was learnt"),
        (0.02, Grade.OK, "under what was learnt"),
        (0.001, Grade.WARN, "under what was learnt: suspect (quiet)"),
        (1.5, Grade.WARN, "over what was learnt"),
    ],
)
def test_the_level_against_what_was_learnt(
    level: float, grade: Grade, words: str
) -> None:
    found = likeness(noise(4 * RATE_HZ, level=level)).finding(site())
    assert found is not None
    far_db = found.figures["difference_db"]
    assert far_db == pytest.approx(20 * np.log10(level / 0.1), abs=0.2)
    assert found.text == f"{abs(float(far_db or 0)):.1f} dB {words}"
    assert found.grade is grade


def test_a_band_that_is_cut_off_is_suspect() -> None:
    wide, narrow = noise(4 * 48_000), low_passed(3_400)
    assert likeness(wide, 48_000).finding(site()).grade is Grade.OK  # type: ignore[union-attr]
    found = likeness(narrow, 48_000).finding(site())
    assert found is not None
    assert (found.grade, "suspect (narrow)" in found.text) == (Grade.WARN, True)


def test_too_little_sound_is_not_compared() -> None:
    assert likeness(noise(1_000)).finding(site()) is None
