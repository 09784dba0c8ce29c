"""What each machine type is built of, drawn at random for one individual."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from asd_train.data.simulator.draw import Build, Draw
from asd_train.data.simulator.fluid import Cavitation, Flow, Leak, Strokes
from asd_train.data.simulator.rotating import Gear, Shaft
from asd_train.data.simulator.slide import Carriage
from asd_train.data.simulator.toy import Knock, Rolling, Track


def _fan(d: Draw) -> Build:
    low_hz = d.log(60, 250)
    flow = Flow(
        ratio=1.0,
        blades=d.whole(5, 11),
        low_hz=low_hz,
        high_hz=d.log(900, 3000),
        level=d.log(0.7, 1.3),
        depth=d.real(0.1, 0.35),
        tones=d.falling(4, d.log(0.15, 0.6), 0.5),
    )
    shaft = Shaft(1.0, d.falling(6, d.log(0.1, 0.3), 0.4))
    structure = (shaft, d.bearing(1.0), d.motor(), d.rattle(1.0))
    return Build(d.real(18, 48), structure, (flow, d.rub(1.5)))


def _pump(d: Draw) -> Build:
    flow = Flow(
        ratio=1.0,
        blades=d.whole(4, 8),
        low_hz=d.log(150, 500),
        high_hz=d.log(1500, 4500),
        level=d.log(0.5, 1.0),
        depth=d.real(0.15, 0.45),
        tones=d.falling(5, d.log(0.2, 0.7), 0.5),
    )
    shaft = Shaft(1.0, d.falling(8, d.log(0.1, 0.35), 0.4))
    bubbles = Cavitation(d.rings(3, 900, 6000), d.decays(3, 0.0008, 0.003), 1.2)
    leak = Leak(d.log(1500, 3000), d.log(5000, 7500), level=0.5)
    structure = (shaft, flow, d.bearing(1.0), d.motor(), bubbles, d.rattle(1.0))
    return Build(d.real(24, 49), structure, (leak, d.rub(0.6)))


def _gearbox(d: Draw) -> Build:
    teeth, driven = d.whole(15, 31), d.whole(32, 79)
    gear = Gear(
        ratio=1.0,
        teeth=teeth,
        driven_teeth=driven,
        amplitudes=d.falling(6, d.log(0.5, 1.0), 0.5),
        wear=(d.real(0.03, 0.12), d.real(0.03, 0.1)),
    )
    second = Gear(
        ratio=teeth / driven,
        teeth=d.whole(15, 27),
        driven_teeth=d.whole(30, 70),
        amplitudes=d.falling(5, d.log(0.2, 0.6), 0.5),
        wear=(d.real(0.03, 0.12), d.real(0.03, 0.1)),
    )
    shaft = Shaft(1.0, d.falling(5, d.log(0.08, 0.25), 0.4))
    oil = Flow(1.0, teeth, 200, d.log(1500, 4000), d.log(0.1, 0.3), 0.1, (0.0,))
    structure = (gear, second, shaft, oil, d.bearing(1.0), d.motor(), d.rattle(1.0))
    return Build(d.real(16, 32), structure, (d.rub(0.4),))


def _valve(d: Draw) -> Build:
    strokes = Strokes(
        open_part=d.real(0.3, 0.6),
        ring_hz=d.rings(4, 700, 6000),
        ring_s=d.decays(4, 0.002, 0.015),
        close_level=d.real(0.4, 1.1),
        burst_s=d.log(0.03, 0.15),
        burst_level=d.log(0.4, 1.6),
        low_hz=d.log(600, 2000),
        high_hz=d.log(3500, 7000),
    )
    supply = Flow(20.0, 1, 100, d.log(400, 1500), d.log(0.05, 0.15), 0.05, (0.05,))
    leak = Leak(d.log(1800, 3500), d.log(5000, 7500), level=0.3)
    return Build(d.real(0.8, 2.5), (strokes, d.rattle(12.0, level=0.1)), (supply, leak))


def _slider(d: Draw) -> Build:
    carriage = Carriage(
        dwell=d.real(0.05, 0.3),
        drive_hz=d.log(120, 700),
        drive=d.falling(8, d.log(0.2, 0.6), 0.5),
        low_hz=d.log(300, 900),
        high_hz=d.log(2000, 6000),
        friction=d.log(0.3, 0.8),
        ring_hz=d.rings(4, 150, 3000),
        ring_s=d.decays(4, 0.004, 0.02),
        end_level=d.log(1.0, 4.0),
        rollers_hz=d.real(25, 80),
    )
    return Build(d.real(0.25, 0.8), (carriage, d.motor()), ())


def _toy_car(d: Draw) -> Build:
    pinion, crown = d.whole(8, 12), d.whole(30, 46)
    axle = pinion / crown
    gear = Gear(
        ratio=1.0,
        teeth=pinion,
        driven_teeth=crown,
        amplitudes=d.falling(5, d.log(0.3, 0.8), 0.5),
        wear=(d.real(0.05, 0.2), d.real(0.05, 0.2)),
    )
    shaft = Shaft(1.0, d.falling(6, d.log(0.1, 0.3), 0.5))
    wheels = Shaft(axle, d.falling(6, d.log(0.05, 0.2), 0.5))
    tooth = Knock("chipped", axle, d.rings(3, 900, 5000), d.decays(3, 0.001, 0.006), 2)
    low_hz = d.log(200, 600)
    belt = Rolling(axle, low_hz, d.log(1500, 4500), d.log(0.4, 1.0), d.real(0.1, 0.3))
    structure = (gear, shaft, wheels, d.brushes(), tooth)
    return Build(d.real(90, 170), structure, (belt,), unsteady=0.008)


def _toy_train(d: Draw) -> Build:
    pinion, crown = d.whole(8, 12), d.whole(24, 40)
    axle = pinion / crown
    # A wheel is about 30 mm around, a rail 110 to 220 mm long.
    step = axle * 30 / d.real(110, 220)
    gear = Gear(
        ratio=1.0,
        teeth=pinion,
        driven_teeth=crown,
        amplitudes=d.falling(4, d.log(0.1, 0.4), 0.5),
        wear=(d.real(0.05, 0.2), d.real(0.05, 0.2)),
    )
    shaft = Shaft(1.0, d.falling(5, d.log(0.05, 0.2), 0.5))
    track = Track(
        ratio=step,
        axles=(0.0, d.real(0.2, 0.4), d.real(0.7, 0.9), d.real(1.1, 1.4)),
        joints=tuple(d.log(0.5, 1.6) for _ in range(d.whole(8, 14))),
        level=d.log(0.5, 1.2),
        ring_hz=d.rings(4, 500, 5000),
        ring_s=d.decays(4, 0.002, 0.012),
        scrape_hz=(d.log(1200, 2500), d.log(4000, 7000)),
    )
    low_hz = d.log(300, 800)
    rail = Rolling(axle, low_hz, d.log(2000, 6000), d.log(0.4, 0.9), d.real(0.1, 0.3))
    flat = Knock("flat", axle, track.ring_hz, track.ring_s, 2.0)
    structure = (gear, shaft, d.brushes(), track, flat)
    return Build(d.real(30, 60), structure, (rail,), unsteady=0.012)


@dataclass(frozen=True, slots=True)
class Kind:
    """A machine type."""

    build: Callable[[Draw], Build]
    faults: tuple[str, ...]
    """Faults that it can have"""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "fan": Kind(_fan, ("imbalance", "bearing", "rubbing", "looseness", "clogging")),
        "pump": Kind(
            _pump,
            ("imbalance", "bearing", "leak", "rubbing", "looseness", "clogging"),
        ),
        "gearbox": Kind(_gearbox, ("imbalance", "bearing", "rubbing", "looseness")),
        "valve": Kind(_valve, ("leak", "rubbing", "looseness", "clogging")),
        "slider": Kind(_slider, ("bearing", "rubbing", "looseness")),
        "ToyCar": Kind(
            _toy_car, ("bent", "worn", "chipped", "overvoltage", "undervoltage")
        ),
        "ToyTrain": Kind(
            _toy_train,
            ("flat", "obstacle", "looseness", "overvoltage", "undervoltage"),
        ),
    }
)
"""Every machine type by name"""


def build(kind: str, rng: np.random.Generator) -> Build:
    """Draw the parts of one individual of a type."""
    return KINDS[kind].build(Draw(rng))
