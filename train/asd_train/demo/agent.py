"""The real agent, as a program of its own."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType

STOP_S = 5.0
"""Seconds that the agent gets to say good-bye"""
COMMAND = (sys.executable, "-m", "asd_agent")


class AgentFailed(Exception):
    """A command of the agent did not end well; its output is the text."""


def learn(config: Path, normal: Path) -> str:
    """Run ``asd-agent learn``; return what it printed.

    Raises
    ------
    AgentFailed
        It did not end with 0.
    """
    command = (*COMMAND, "learn", "--config", config, "--from", normal)
    with subprocess.Popen(  # noqa: S603 - a fixed command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:  # Ctrl-C too: it must not outlive us
            process.kill()
            raise
    if process.returncode != 0:
        raise AgentFailed(f"asd-agent learn ended with {process.returncode}:\n{said}")
    return said


class Agent:
    """A running ``asd-agent --config``. A context manager."""

    def __init__(self, config: Path, log: Path) -> None:
        self._command = (*COMMAND, "--config", config)
        self._log = log

    def __enter__(self) -> "Agent":
        with self._log.open("wb") as log:
            # Its own session: Ctrl-C reaches it through us, once.
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def ended(self) -> bool:
        """Whether it runs no longer."""
        return self._process.poll() is not None

    def said(self) -> str:
        """Everything that it logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")
