"""Judges what was measured of a source: whether it can be the sound of a machine."""

from collections.abc import Iterator

from asd_agent.capture.microphone import RATE_TOLERANCE
from asd_agent.capture.signal_health import CLIPPED_SHARE, MOST_DC, QUIET_DBFS
from asd_agent.doctor.finding import Finding, fail, ok, warn
from asd_agent.doctor.listening import Heard
from asd_agent.doctor.meter import Meter, decibel
from asd_agent.doctor.words import number
from asd_agent.errors import AsdError, SoundError

FAINT_DBFS = -75.0
"""Below this the rounding noise of 16 bits begins to be heard"""
HIGH_DC = 0.05
"""A mean further from 0, in full scales, is that of a faulty microphone"""
STUCK_S = 0.05
"""No sound has one value for so long"""
COARSE = 2.0
"""Times the tolerance from where a rate is hardly known"""
FEW_CLIPPED = 0.0001
"""More samples than this share at full scale are too many"""
OFTEN_S = 1.0
"""Dropouts that come more often than this leave no window whole"""
_GAIN = (
    "turn the capture gain {way}: alsamixer, F6 for the card, F4 for capture; or move "
    "the microphone {move} the machine"
)
QUIETER = _GAIN.format(way="down", move="away from")
LOUDER = _GAIN.format(way="up", move="nearer to")


def judge(heard: Heard, meter: Meter, *, live: bool) -> Iterator[Finding]:
    """Yield what is to be said of the sound itself.

    Parameters
    ----------
    live
        Whether it comes as it is made, so that a clock can measure it.
    """
    if heard.error is not None and not isinstance(heard.error, AsdError):
        raise heard.error
    if not meter.chunks:
        if isinstance(heard.error, AsdError):
            raise heard.error
        text = "opened, and gives no sound" if live else "holds no sound"
        fix = "plug it in again; look for errors with: sudo dmesg | tail"
        yield fail("sound", text, fix, SoundError)
        return
    yield _sound(heard, meter, live=live)
    if live:
        yield rate(meter)
    constant = _constant(meter)
    if constant is not None:
        yield constant
    if not meter.is_constant:
        yield level(meter)
        yield from _distortion(meter)


def _sound(heard: Heard, meter: Meter, *, live: bool) -> Finding:
    figures = {
        "first_s": round(heard.first_s or 0.0, 2),
        "seconds": round(heard.seconds, 2),
        "gaps": meter.gaps,
        "lost_samples": meter.lost,
    }
    first = f"the first after {heard.first_s:.1f} s, " if live else ""
    text = f"{first}{heard.seconds:.1f} s heard"
    if heard.error is not None or heard.stalled:
        why = "then nothing came any more" if heard.stalled else str(heard.error)
        fix = "check the cable and the power of the device: sudo dmesg | tail"
        return fail("sound", f"{text}; {why}", fix, SoundError, figures=figures)
    if not meter.gaps:
        text += ", no dropout" if live else ""
        return ok("sound", text, figures=figures)
    text += f", {number(meter.gaps, 'dropout')}"
    text += f" of {number(meter.lost, 'sample')}" if meter.lost else ""
    fix = (
        "give the device a USB port of its own and a good supply, stop what takes the "
        "CPU (top), and see: sudo dmesg | tail"
    )
    if heard.seconds / meter.gaps < OFTEN_S and meter.gaps > 1:
        return fail("sound", text, fix, SoundError, figures=figures)
    return warn("sound", text, fix, figures=figures)


def rate(meter: Meter) -> Finding:
    """Whether the device runs at the rate that it promises."""
    promised = f"{meter.rate_hz:,} Hz promised"
    fit = meter.rate.fit()
    if fit is None:
        text = f"{promised}; not measured: too little sound without a gap"
        return warn("rate", text, "listen for longer: --seconds 30")
    part = fit.rate_hz / meter.rate_hz - 1
    figures = {
        "promised_hz": meter.rate_hz,
        "measured_hz": round(fit.rate_hz, 1),
        "error": round(fit.error, 5),
    }
    within = f"({100 * part:+.2f} %, known to {100 * fit.error:.2g} %)"
    text = f"{fit.rate_hz:,.0f} Hz by the clock, {promised} {within}"
    if abs(part) > RATE_TOLERANCE + fit.error:
        return fail(
            "rate",
            f"{text}: every frequency is shifted",
            "choose another device, or another rate in the sound server; behind a hub "
            "plug it into the computer itself",
            SoundError,
            figures=figures,
        )
    if fit.error > COARSE * RATE_TOLERANCE:
        text += "; listen for longer to know it better: --seconds 30"
    return ok("rate", text, figures=figures)


def _constant(meter: Meter) -> Finding | None:
    """Whether there was one value for long."""
    value, share = meter.constant.value, meter.zeros / meter.samples
    figures = {"constant_s": round(meter.constant_s, 3), "zeros": round(share, 4)}
    if meter.is_constant:
        if value == 0:
            return fail(
                "signal",
                "digital silence: every sample is exactly 0",
                "unmute it (alsamixer, F4 for capture, space), check the channel and "
                "the plug of the microphone, and that a sound server hears the right "
                "device",
                SoundError,
                figures=figures,
            )
        return fail(
            "signal",
            f"stuck: every sample is {value:g}",
            "plug the device in again; if it stays so, it is broken",
            SoundError,
            figures=figures,
        )
    if meter.constant_s < STUCK_S:
        return None
    what = "digital silence" if value == 0 else f"the same value ({value:g})"
    return warn(
        "signal",
        f"{meter.constant_s:.2f} s of {what} at a stretch; {100 * share:.1f} % of all "
        "samples are exactly 0",
        "turn off noise gates and automatic gain of the device or the sound server, "
        "and check its cable",
        figures=figures,
    )


def level(meter: Meter) -> Finding:
    """Whether it is loud enough, and sound at all."""
    level_dbfs, dc = meter.level_dbfs, meter.dc
    peak_dbfs = decibel(meter.peak**2)
    text = f"{level_dbfs:.1f} dBFS, peak {peak_dbfs:.1f} dBFS, DC {100 * abs(dc):.2f} %"
    figures = {
        "level_dbfs": round(level_dbfs, 2),
        "peak": round(meter.peak, 5),
        "dc": round(dc, 5),
    }
    if level_dbfs < QUIET_DBFS:
        text += ": deaf, nothing but rounding noise"
        return fail("level", text, LOUDER, SoundError, figures=figures)
    if abs(dc) > HIGH_DC:
        text += ": a constant offset"
        fix = "use another microphone or sound card: this one is faulty"
        if abs(dc) > MOST_DC:
            return fail("level", text, fix, SoundError, figures=figures)
        return warn("level", text, fix, figures=figures)
    if level_dbfs < FAINT_DBFS:
        return warn("level", f"{text}: faint", LOUDER, figures=figures)
    return ok("level", text, figures=figures)


def _distortion(meter: Meter) -> Iterator[Finding]:
    share = meter.railed / meter.samples
    figures = {"clipped_share": round(share, 6)}
    text = f"{100 * share:.2g} % of the samples are at full scale"
    if share > CLIPPED_SHARE:
        yield fail("clipping", text, QUIETER, SoundError, figures=figures)
    elif share > FEW_CLIPPED:
        yield warn("clipping", text, QUIETER, figures=figures)
    else:
        yield ok("clipping", "none" if not meter.railed else text, figures=figures)


def bandwidth(meter: Meter, needed_hz: float) -> Finding:
    """Whether the source carries what the bundle listens to.

    Parameters
    ----------
    needed_hz
        Highest frequency that the bundle listens to.
    """
    half_hz = meter.rate_hz / 2
    edge_hz = meter.edge_hz
    needs = f"the bundle listens up to {needed_hz:,.0f} Hz"
    figures = {"needed_hz": needed_hz, "half_rate_hz": half_hz, "edge_hz": edge_hz}
    if half_hz < needed_hz:
        return fail(
            "bandwidth",
            f"{half_hz:,.0f} Hz (half of {meter.rate_hz:,} Hz), and {needs}",
            f"use a device, or a setting of it, with {2 * needed_hz:,.0f} Hz or more",
            SoundError,
            figures=figures,
        )
    if edge_hz is not None and edge_hz < 0.9 * needed_hz:
        return warn(
            "bandwidth",
            f"nothing above {edge_hz:,.0f} Hz, and {needs}: the sound was made of a "
            "slower one, or filtered",
            "choose the device itself and not a converted one, leave the call profile "
            "of Bluetooth, turn off filters against noise",
            figures=figures,
        )
    return ok("bandwidth", f"{half_hz:,.0f} Hz, {needs}", figures=figures)
