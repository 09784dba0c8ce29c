"""What was found in the booted system, as tables, and what of it must not be."""

from collections.abc import Iterator
from typing import Any

Found = dict[str, Any]

WATCHDOG_S = 24
"""``WatchdogSec`` of the unit"""
ABORT_S = 3
"""``TimeoutAbortSec``: to write where it stalled"""
RESTART_S = 2
"""``RestartSec``"""
LOAD_S = 20
"""Seconds that loading the software may take here, besides"""
STALLS = {
    "stopped": "the process is stopped (SIGSTOP)",
    "interpreter": "the scorer holds the interpreter: no thread runs",
    "scorer": "the scorer stands still, other threads run",
    "source": "the source stands still",
}
BY_SYSTEMD = ("stopped", "interpreter")
"""Stalls that the agent cannot see itself"""


def report(found: Found) -> str:
    """Everything that was found, for people."""
    parts = (_service(found), _acts(found), _stalls(found), _install(found))
    return "\n\n".join("\n".join(part) for part in parts)


def problems(found: Found) -> Iterator[str]:
    """What is not as it must be."""
    for name in ("start", "state", "process", "shut in", "command", "upgrade", *STALLS):
        if not isinstance(found.get(name), dict):
            yield f"{name}: {found.get(name, 'was not reached')}"
            return
    for text in found.get("complaints", []):
        yield f"it complains: {text}"
    if not found["start"]["ready"]:
        yield "the service does not become ready"
    if found["state"]["learnt_s"] < 0:
        yield "nothing was learnt"
    yield from _wrong_acts(found["shut in"])
    if found["command"]["code"] != 0 or found["command"]["code of a mistake"] == 0:
        yield f"asd-agent for people: {found['command']}"
    if not found["command"]["owner stays"]:
        yield "asd-agent for people gives the state to another user"
    upgrade = found["upgrade"]
    if upgrade["code"] or not upgrade["another process"] or not upgrade["ready"]:
        yield f"the upgrade: {upgrade}"
    for name in STALLS:
        yield from _wrong_stall(name, found[name])


def _wrong_acts(acts: dict[str, dict[str, str]]) -> Iterator[str]:
    for name, outcome in acts["needed"].items():
        if outcome != "ok":
            yield f"refused: {name}: {outcome}"
    for name, outcome in acts["refused"].items():
        if outcome == "ok":
            yield f"not refused: {name}"


def _wrong_stall(name: str, stall: Found) -> Iterator[str]:
    limit_s = WATCHDOG_S + ABORT_S
    if not 0 <= stall["noticed_s"] <= limit_s:
        yield f"{name}: noticed after {stall['noticed_s']} s, not {limit_s}"
    if not 0 <= stall["ready_again_s"] <= limit_s + RESTART_S + LOAD_S:
        yield f"{name}: ready again after {stall['ready_again_s']} s"
    if name in BY_SYSTEMD and (stall["by"] != "systemd" or stall["restarts"] != 1):
        yield f"{name}: {stall['restarts']} restarts by {stall['by']}"


def _service(found: Found) -> Iterator[str]:
    yield "| service | |"
    yield "| --- | --- |"
    for part in ("start", "process", "state", "command"):
        facts = found.get(part)
        if not isinstance(facts, dict):
            yield f"| {part} | {facts} |"
            continue
        for name, value in facts.items():
            if name == "said":  # at length, in the file beside
                continue
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"| {name} | {shown} |"


def _acts(found: Found) -> Iterator[str]:
    yield "| act | as root, without limits | as asd-agent |"
    yield "| --- | --- | --- |"
    bare, shut_in = found.get("bare"), found.get("shut in")
    if not isinstance(bare, dict) or not isinstance(shut_in, dict):
        yield f"| {bare} | | {shut_in} |"
        return
    for kind in ("needed", "refused"):
        for name, outcome in shut_in[kind].items():
            yield f"| {name} | {bare[kind][name]} | {outcome} |"


def _stalls(found: Found) -> Iterator[str]:
    yield "| stall | noticed, s | by | ready again, s | says where it stood |"
    yield "| --- | --- | --- | --- | --- |"
    for name, text in STALLS.items():
        stall = found.get(name)
        if isinstance(stall, dict):
            keys = ("noticed_s", "by", "ready_again_s", "told where")
            yield f"| {text} | {' | '.join(str(stall[key]) for key in keys)} |"
        else:
            yield f"| {text} | {stall} | | | |"


def _install(found: Found) -> Iterator[str]:
    yield "| upgrade in the running system | |"
    yield "| --- | --- |"
    upgrade = found.get("upgrade")
    if isinstance(upgrade, dict):
        yield from (f"| {name} | {value} |" for name, value in upgrade.items())
    else:
        yield f"| | {upgrade} |"
