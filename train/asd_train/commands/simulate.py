"""The command ``simulate``: write recordings of simulated machines."""

import argparse
import os
from pathlib import Path

from asd_train.commands.common import Commands, command, count, need, positive

_MACHINES = {
    "2022": "fan,pump,gearbox,valve,slider",
    "2021": "ToyCar,ToyTrain,fan,gearbox,pump,slider,valve",
}
_CLIPS_TEST = {"2022": 50, "2021": 100}
_EXAMPLE = """examples:
  asd-train simulate /tmp/sim --machines fan,pump --sections 3 --clips-train 20 \\
      --clips-test 10
  asd-train simulate /tmp/sim21 --layout 2021 --clips-train 40 --clips-test 40

Machines are simulated from physical parts: shafts, gears, bearings, blades,
valves, brushes, rails, casing, room, microphone. The clips are named as those of
DCASE Task 2 are: source and target domain differ in speed and load.

layout 2022  train and test; a tenth of the training clips is of the target
             domain; a test clip has its fault and severity in its name
layout 2021  train, source_test and target_test; N training clips of the source
             domain and three of the target domain; in some sections the noise
             differs, not the speed; names of test clips tell nothing, the faults
             are in truth_section_NN.csv. The challenge has --clips-train 1000
             --clips-test 400.

Simulated sound shows that the software works, not how well it finds faults of
real machines.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    text = "write recordings of simulated machines"
    parser = command(commands, "simulate", text, _EXAMPLE)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--layout",
        choices=tuple(_MACHINES),
        default="2022",
        help="DCASE data set whose folders and names to follow (%(default)s)",
    )
    parser.add_argument(
        "--machines",
        metavar="A,B",
        help=f"machine types ({_MACHINES['2022']}; layout 2021: all seven)",
    )
    _add_counts(parser)
    parser.add_argument(
        "--seconds",
        type=positive,
        default=10.0,
        metavar="S",
        help="length of a clip (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed, the same bytes (1)"
    )
    parser.add_argument(
        "--jobs",
        type=count,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; makes no difference to the clips (%(default)s)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that has files"
    )
    parser.set_defaults(run=_simulate)


def _add_counts(parser: argparse.ArgumentParser) -> None:
    for flag, number, what in (
        ("--sections", 6, "individuals of each type"),
        ("--clips-train", 100, "normal clips to train on, of each individual"),
    ):
        parser.add_argument(
            flag, type=count, default=number, metavar="N", help=f"{what} (%(default)s)"
        )
    parser.add_argument(
        "--clips-test",
        type=count,
        metavar="N",
        help="clips to test on, of each individual, half faulty (50; layout 2021: 100)",
    )


def _simulate(arguments: argparse.Namespace) -> int:
    from asd_train.data.simulator.files import (  # numpy is slow to load
        Order,
        prepare_folder,
        simulate,
    )

    need("the simulator", "tqdm")
    from tqdm import tqdm

    order = Order(
        machines=tuple((arguments.machines or _MACHINES[arguments.layout]).split(",")),
        sections=arguments.sections,
        clips_train=arguments.clips_train,
        clips_test=arguments.clips_test or _CLIPS_TEST[arguments.layout],
        seconds=arguments.seconds,
        seed=arguments.seed,
        layout=arguments.layout,
    )
    order.check()
    prepare_folder(arguments.out, arguments.overwrite)
    with tqdm(total=order.clips, unit="clip") as bar:
        for written in simulate(order, arguments.out, arguments.jobs):
            bar.update(written)
    print(f"{order.clips} clips in {arguments.out}")
    return 0
