"""Real sound through a real capture device: normal fan, blade faults, what is told.

Plays uncut recordings of a desk fan into a sound server's null sink, learns some of
the normal ones through the microphone, then plays held-out normal sound and blade
faults in turn, and prints what a subscriber of ``factory/+/anomaly`` sees. About
ten minutes::

    python tests/live/fan_states.py --data ../shared/data
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.live import LiveAgent, live_agent, write_tape

HELD_OUT = 2
"""Normal recordings of the first session that are not learnt"""


def main() -> int:
    """Run; the exit code is 0 if every fault was told and no normal sound was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", default="{}", help="bundle: of the configuration")
    args = parser.parse_args()
    uncut = args.data / "fan_states" / "long"
    normal = sorted(uncut.glob("ON_2020*"))
    later = sorted(uncut.glob("ON_2021*"))
    faults = sorted(uncut.glob("BLADE-FAULT_*"))
    learnt = normal[HELD_OUT:] + later[1:]
    with (
        tempfile.TemporaryDirectory() as name,
        live_agent(Path(name), bundle=args.bundle) as live,
    ):
        folder = Path(name)
        # Long enough for an alarm to be cleared before the next fault.
        quiet = folder / "held-out-normal.wav"
        write_tape(quiet, normal[:HELD_OUT])
        playlist = [quiet]
        for fault in faults:
            playlist += [fault, quiet]
        return _listen(live, folder, learnt, [*playlist, later[0]], set(faults))


def _listen(
    live: LiveAgent,
    folder: Path,
    learnt: list[Path],
    playlist: list[Path],
    faults: set[Path],
) -> int:
    tape = folder / "normal.wav"
    seconds = write_tape(tape, learnt)
    print(f"learning {len(learnt)} recordings, {seconds:.0f} s, from the microphone")
    print(live.learn(tape), flush=True)
    wrong = 0
    with live.running():
        for file in playlist:
            expected = "an alarm" if file in faults else "none"
            print(f"\nplaying {file.stem}, expected: {expected}")
            wrong += _show(live, file) != (file in faults)
    print(f"\n{len(playlist)} recordings played, {wrong} not as expected")
    return int(wrong > 0)


def _show(live: LiveAgent, file: Path) -> bool:
    """Play a file, print each change, return whether an alarm was raised in it."""
    before: dict[str, object] = {}
    raised = False
    for message in live.hear(file):
        if message["state"] != before.get("state"):
            print(
                f"  {message['ts']} {message['state']:13} score {message['score']} "
                f"threshold {message['threshold']} p {message['p_value']}",
                flush=True,
            )
        # An alarm that goes on from the sound before is not this sound's.
        anomalous = message["state"] == "anomalous"
        raised = raised or (
            anomalous and before.get("state", "anomalous") != "anomalous"
        )
        before = message
    return raised


if __name__ == "__main__":
    raise SystemExit(main())
