"""The real agent, whose microphones are `soak_sound.Machine`s, for `faults.soak`.

It writes down every change of state that it hands to the broker's outbox, and in the
end what its machines gave.
"""

import argparse
import functools
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asd_agent import cli, service, worker
from asd_agent.config import SourceConfig
from asd_agent.mqtt.publisher import Publisher
from asd_agent.timeline import Timeline
from faults.soak_sound import RATE_HZ, Machine


def main() -> int:
    """Run the agent until its machines have sounded for so many hours."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--learning-s", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--config", required=True)
    options = parser.parse_args()
    machines: dict[str, Machine] = {}

    def open_source(source: SourceConfig) -> Machine:
        if source.name not in machines:
            seed = options.seed + len(machines)
            seconds, learning_s = options.hours * 3600, options.learning_s
            machines[source.name] = Machine(source.name, seed, seconds, learning_s)
        return machines[source.name]

    progress = options.folder / "progress"
    changes = (options.folder / "changes.jsonl").open("a", buffering=1)
    decision = Publisher.decision

    def told(
        self: Publisher, source: str, payload: Mapping[str, Any], changed: bool
    ) -> None:
        if changed:
            kept = {key: payload[key] for key in ("source", "ts", "state")}
            changes.write(json.dumps(kept) + "\n")
        decision(self, source, payload, changed)

    tell = Publisher.health

    def health(self: Publisher, payload: Mapping[str, Any]) -> None:
        heard = sum(machine.told.samples for machine in machines.values())
        progress.write_text(str(heard / RATE_HZ / max(1, len(machines))))
        tell(self, payload)

    replaced: Any = {"open_source": open_source, "MAX_RETRY_S": 0.05}
    # No time passes while a device is away: the sum is exact.
    replaced["Timeline"] = functools.partial(_still, Timeline)
    for name, value in replaced.items():
        setattr(worker, name, value)
    Publisher.decision = told  # type: ignore[method-assign]
    Publisher.health = health  # type: ignore[method-assign]
    service.HEALTH_S = 5.0
    code = cli.main(["--config", options.config])
    done = {name: asdict(machine.told) for name, machine in machines.items()}
    (options.folder / "machines.json").write_text(json.dumps(done))
    return code


def _still(timeline: type[Timeline], name: str, rate_hz: int, _: object) -> Timeline:
    return timeline(name, rate_hz, lambda: 0.0)


if __name__ == "__main__":
    sys.exit(main())
