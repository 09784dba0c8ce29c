"""Run in the booted system as root: looks at the agent, stalls it, writes what it saw.

It needs the standard library alone. What it finds is written as JSON after each part,
so that whatever happens what was seen so far is there.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

UNIT = "asd-agent.service"
FOUND = Path("/collected/found.json")
STALL = Path("/run/asd-stall")
DROP_IN = Path(f"/run/systemd/system/{UNIT}.d/stall.conf")
STALLING = """\
[Service]
ExecStart=
ExecStart=/opt/asd/bin/python /srv/booted_stall.py --config /etc/asd.yaml
"""
LEARNT_S = 120.0
"""Most seconds until the agent has learnt its source"""
STALL_S = 120.0
"""Most seconds until a stalled agent is up again"""
READY = "INFO ready"
"""What the agent logs when it is"""
ENDS = {"Watchdog timeout": "systemd", "begins anew": "agent", "exited": "agent"}
"""What is logged when an agent that stalled is ended, and who ended it"""
NO_BROKER = "nobody listens there"
SETTLED_S = 5.0
"""Seconds of scoring before a stall"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command; whatever it ends with is looked at later."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


def show(*names: str) -> dict[str, str]:
    """Properties of the unit."""
    said = run("systemctl", "show", UNIT, "--property", ",".join(names)).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def pid() -> int:
    """The main process; 0: none."""
    return int(show("MainPID")["MainPID"])


def is_ready() -> bool:
    """Whether the agent has said that it is."""
    return show("ActiveState", "SubState") == {
        "ActiveState": "active",
        "SubState": "running",
    }


def wait(what: Callable[[], bool], limit_s: float) -> float:
    """Wait for something; the seconds that it took, or -1 if it did not come."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < limit_s:
        if what():
            return time.monotonic() - began_s
        time.sleep(0.05)
    return -1.0


def look_at_start() -> dict[str, Any]:
    """How long the start took; what systemd says of the unit."""
    waited_s = wait(is_ready, 60)
    names = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    begun, ready = (int(show(name)[name]) for name in names)
    exposure = run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    return {
        "ready": waited_s >= 0,
        "ready_s": round((ready - begun) / 1e6, 1),
        "status": show("StatusText")["StatusText"],
        "exposure": exposure.strip().splitlines()[-1:],
        "systemd": run("systemctl", "--version").stdout.split("\n")[0],
        "python": run("/opt/asd/bin/python", "-V").stdout.strip(),
    }


def look_at_process() -> dict[str, Any]:
    """Who the agent is, by the kernel's account."""
    process = Path(f"/proc/{pid()}")
    told = dict(
        line.split(":\t", 1)
        for line in (process / "status").read_text().splitlines()
        if ":\t" in line
    )
    names = ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    found: dict[str, Any] = {name: " ".join(told[name].split()) for name in names}
    group = run("getent", "group", "audio", "asd").stdout.split()
    rss_mb = int(told["VmRSS"].split()[0]) / 1024
    return found | {
        "known groups": group,
        "threads": int(told["Threads"]),
        "rss_mb": round(rss_mb, 1),
    }


def look_at_state() -> dict[str, Any]:
    """What the agent has written after it has learnt, and whose it is."""
    folder = Path("/var/lib/asd")
    learnt_s = wait(lambda: any(folder.glob("sites/*/*.safetensors")), LEARNT_S)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "learnt_s": round(learnt_s, 1),
        "is a link to": str(folder.readlink()) if folder.is_symlink() else "none",
        "files": sorted(str(path.relative_to(folder)) for path in files),
        "owners": sorted({path.stat().st_uid for path in files}),
        "modes": sorted({oct(path.stat().st_mode & 0o777) for path in files}),
    }


def probe(name: str) -> Any:
    """What a service may do."""
    run("systemctl", "start", f"{name}.service")
    text = Path(f"/collected/{name}.json").read_text()
    return json.loads(text) if text else run("journalctl", "-u", name).stdout


def look_at_command() -> dict[str, Any]:
    """``asd-agent`` for people runs as the service does."""
    before = Path("/var/lib/asd/").stat().st_uid
    done = run("asd-agent", "check", "--config", "/etc/asd.yaml")
    refused = run("asd-agent", "check", "--config", "/etc/nowhere.yaml")
    return {
        "code": done.returncode,
        "said": done.stdout.splitlines(),
        "errors": done.stderr.splitlines(),
        "code of a mistake": refused.returncode,
        "owner stays": before == Path("/var/lib/asd/").stat().st_uid,
    }


def complaints() -> list[str]:
    """Warnings and errors of the agent; that it has no broker is meant to be."""
    return [
        text
        for _, text in journal(0.0)
        if (" WARNING " in text or " ERROR " in text) and NO_BROKER not in text
    ]


def journal(since_s: float) -> Iterator[tuple[float, str]]:
    """What was logged by and of the agent: seconds after a moment, and the text."""
    for line in run("journalctl", "-u", UNIT, "-o", "json", "-b").stdout.splitlines():
        entry = json.loads(line)
        at_s = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6 - since_s
        # What is not plain text is a list of bytes.
        if at_s > 0 and isinstance(entry["MESSAGE"], str):
            yield round(at_s, 1), entry["MESSAGE"]


def first(entries: Iterable[tuple[float, str]], *texts: str) -> tuple[float, str]:
    """When one of some texts was first logged, and which; -1: never."""
    found = ((at_s, text) for at_s, line in entries for text in texts if text in line)
    return next(found, (-1.0, ""))


def stall(how: Callable[[int], None]) -> dict[str, Any]:
    """Stall the agent; who ended it, and when it was ready again."""
    if wait(is_ready, 60) < 0:
        raise RuntimeError("it is not ready")
    time.sleep(SETTLED_S)
    restarts = int(show("NRestarts")["NRestarts"])
    began_s = time.monotonic()
    how(pid())
    wait(lambda: first(journal(began_s), READY)[0] > 0, STALL_S)
    told = list(journal(began_s))
    ended_s, by = first(told, *ENDS)
    return {
        "noticed_s": ended_s,
        "by": ENDS.get(by, "nobody"),
        "ready_again_s": first(told, READY)[0],
        "restarts": int(show("NRestarts")["NRestarts"]) - restarts,
        "told where": any("File " in line for _, line in told),
        "told": [line for _, line in told if "File " not in line][:20],
    }


def tell(part: str) -> Callable[[int], None]:
    """Lets a part of the agent stall."""
    return lambda _: (STALL / part).touch()


def install_again() -> dict[str, Any]:
    """Upgrade the running agent, by the script that installed it."""
    old, began_s = pid(), time.monotonic()
    words = ("--wheel", os.environ["WHEEL"], "--packages", "/srv/packages")
    done = run("/srv/asd/deploy/install.sh", *words)
    return {
        "code": done.returncode,
        "said": (done.stdout + done.stderr).splitlines()[-4:],
        "took_s": round(time.monotonic() - began_s, 1),
        "another process": pid() != old,
        "versions": len(list(Path("/opt/asd-versions").iterdir())),
        "ready": is_ready(),
    }


def main() -> int:
    """Look at everything, part by part."""
    found: dict[str, Any] = {}

    def part(name: str, work: Callable[[], Any]) -> None:
        try:
            found[name] = work()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        FOUND.write_text(json.dumps(found, indent=1))
        log = run("journalctl", "-o", "short-monotonic").stdout
        Path("/collected/journal").write_text(log)

    part("start", look_at_start)
    part("state", look_at_state)
    part("process", look_at_process)
    part("complaints", complaints)
    part("bare", lambda: probe("asd-bare"))
    part("shut in", lambda: probe("asd-probe"))
    part("command", look_at_command)
    part("stopped", lambda: stall(lambda number: os.kill(number, signal.SIGSTOP)))
    part("upgrade", install_again)
    STALL.mkdir()
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(STALLING)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)
    part("interpreter", lambda: stall(tell("interpreter")))
    part("scorer", lambda: stall(tell("scorer")))
    part("source", lambda: stall(tell("source")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
