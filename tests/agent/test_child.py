"""A child answers, or is ended; whatever it does, the parent goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from asd_agent import child
from asd_agent.errors import BundleError

MEMORY_BYTES = 512 << 20

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run some code as a module in a child."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(
        code: str,
        *arguments: str,
        timeout_s: float = 30.0,
        memory_bytes: int = MEMORY_BYTES,
        stop: Event | None = None,
    ) -> dict[str, Any]:
        (tmp_path / "made_up.py").write_text(f"from asd_agent import child\n{code}")
        return child.run(
            "made_up",
            arguments,
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            stop=stop,
        )

    return run


def failure(run: Run, code: str, **limits: Any) -> BundleError:
    with pytest.raises(BundleError) as caught:
        run(code, **limits)
    return caught.value


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # What has ended and was not waited for yet is gone too.
    return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def wait_until_gone(pid: Path) -> None:
    """A signal takes its time; the test's own limit ends it if it never comes."""
    while not gone(int(pid.read_text())):
        time.sleep(0.02)


def test_it_answers_with_what_it_was_given(run: Run) -> None:
    code = "import sys\nchild.answer({'given': sys.argv[1:], 'name': __name__})"
    assert run(code, "a", "--b") == {"given": ["a", "--b"], "name": "__main__"}


def test_only_the_last_line_is_the_answer(run: Run) -> None:
    code = "print('{}')\nprint('loading', end='')\nchild.answer({'x': 1})"
    assert run(code) == {"x": 1}


LIMITS = """\
import os, resource, sys
child.answer({
    "memory": resource.getrlimit(resource.RLIMIT_AS),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "threads": os.environ["OPENBLAS_NUM_THREADS"],
    "loaded": "numpy" in sys.modules,
    "own": os.getpgid(0) == os.getpid(),
})
"""


def test_it_is_limited_before_it_begins(run: Run) -> None:
    assert run(LIMITS) == {
        "memory": [MEMORY_BYTES, MEMORY_BYTES],
        "core": [0, 0],
        "files": child.MAX_FILES,
        "nice": child.NICENESS,
        "threads": "1",
        "loaded": False,
        "own": True,
    }


def test_limits_are_set_twice_without_harm(run: Run) -> None:
    again = f"child.begin({MEMORY_BYTES})\n{LIMITS}"
    assert run(again) == run(LIMITS)


PID = """\
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
"""


@pytest.mark.parametrize(
    "rest",
    [
        "time.sleep(60)",
        "os.close(1); os.close(2); time.sleep(60)",
        "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: pass",
    ],
)
def test_one_that_hangs_is_ended(run: Run, tmp_path: Path, rest: str) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(BundleError, match="took too long") as caught:
        run(PID + rest, str(pid), timeout_s=1.0)
    assert caught.value.reason == "hung"
    assert gone(int(pid.read_text()))


def test_what_it_started_ends_with_it(run: Run, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    later = "if os.fork(): time.sleep(0.2); child.answer({'x': 1})\nelse:\n"
    asleep = f"{PID}time.sleep(60)".replace("\n", "\n    ")
    assert run(f"import os, time\n{later}    {asleep}", str(pid)) == {"x": 1}
    wait_until_gone(pid)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\nos.abort()", "signal 6 (Aborted)"),
        ("import ctypes\nctypes.string_at(0)", "signal 11 (Segmentation fault)"),
        ("import sys\nsys.exit(3)", "ended with 3"),
        ("raise ValueError('of all things')", "ValueError: of all things"),
        ("import of_nothing", "No module named 'of_nothing'"),
        ("import os\nos.kill(os.getpid(), 9)", "signal 9 (Killed)"),
    ],
)
def test_one_that_crashes_is_told(run: Run, code: str, words: str) -> None:
    error = failure(run, code)
    assert error.reason == "crashed"
    assert words in str(error)
    assert "memory" not in str(error)


@pytest.mark.parametrize(
    "code",
    [
        "held = bytearray(1 << 30)",
        "import numpy\nheld = numpy.zeros(1 << 30, numpy.uint8)",
        "import sys\nsys.stderr.write('std::bad_alloc')\nsys.exit(1)",
    ],
)
def test_one_that_takes_too_much_memory_is_told(run: Run, code: str) -> None:
    error = failure(run, code)
    assert error.reason == "crashed"
    assert f"{MEMORY_BYTES:,} bytes of memory are too little" in str(error)
    assert "bundle.test_memory_bytes" in str(error)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("BundleError('so it is', 'differs')", "differs"),
        ("BundleError('so it is', 'No Such Word!')", "error"),
        ("RuntimeMissing('so it is')", "no_runtime"),
        ("SoundError('so it is')", "error"),
    ],
)
def test_what_it_raises_comes_out(run: Run, raised: str, reason: str) -> None:
    error = failure(run, f"from asd_agent.errors import *\nraise {raised}")
    assert (str(error), error.reason) == ("so it is", reason)


def test_an_answer_is_one_thing_only(run: Run) -> None:
    for code in ("", "print('done')", "print('[1]')", "print('1e400')"):
        error = failure(run, code)
        assert error.reason == "error"
        assert "gives no answer" in str(error)


def test_output_without_an_end_is_not_read_on(run: Run) -> None:
    error = failure(run, "while True: print('x' * 10_000)")
    assert error.reason == "error"
    assert "writes without an end" in str(error)


def test_of_its_errors_the_last_are_told(run: Run) -> None:
    code = (
        "import sys\nsys.stderr.write('first' + 'x' * 3_000_000 + 'last')\nsys.exit(1)"
    )
    error = failure(run, code)
    assert str(error).endswith("xlast")
    assert len(str(error)) < child.TAIL_BYTES + 100


def test_it_is_stopped_with_the_agent(run: Run, tmp_path: Path) -> None:
    stop = Event()
    timer = Timer(0.3, stop.set)
    timer.start()
    error = failure(run, "import time\ntime.sleep(60)", stop=stop)
    timer.join()
    assert error.reason == "stopped"


def test_it_ends_with_the_agent(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "made_up.py").write_text(PID + "time.sleep(60)")
    code = (
        "from asd_agent import child\n"
        f"child.run('made_up', [{str(pid)!r}], timeout_s=60, memory_bytes={1 << 29})"
    )
    agent = Path(child.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{agent}:{tmp_path}"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as parent:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.05)
        assert not gone(int(pid.read_text()))
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(pid)


def test_one_whose_parent_has_gone_does_not_begin(run: Run) -> None:
    error = failure(run, f"child.begin({MEMORY_BYTES}, parent=1 << 30)")
    assert error.reason == "crashed"
    assert str(error).endswith("the agent that started this process has gone")


def test_a_process_that_cannot_be_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    error = failure(run, "")
    assert error.reason == "unavailable"
    assert "No such file or directory" in str(error)
