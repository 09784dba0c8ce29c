"""Examines the software: Python, libraries, the port for Prometheus."""

import errno
import platform
import socket
import ssl
from collections.abc import Callable, Iterator
from importlib import metadata

from asd_agent.capture import portaudio
from asd_agent.config import LOOPBACK, MetricsConfig
from asd_agent.doctor.finding import Finding, fail, ok, refused, warn
from asd_agent.doctor.running import Running
from asd_agent.errors import RuntimeMissing

NEEDED = (
    *("cryptography", "numpy", "paho-mqtt", "prometheus-client", "pydantic"),
    *("PyYAML", "safetensors", "soundfile", "soxr", "urllib3"),
)
"""Packages without which something fails sooner or later"""
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime")
"""One of them runs the networks"""
CAPTURE = "sounddevice"
"""Only for microphones"""

Version = Callable[[str], str | None]
"""Gives the version of a package; None: it is not installed"""


def version_of(package: str) -> str | None:
    """Version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def libraries(version: Version = version_of) -> Iterator[Finding]:
    """Which libraries are installed."""
    found = {name: version(name) for name in (*NEEDED, CAPTURE)}
    runtimes = {name: version(name) for name in RUNTIMES}
    python = platform.python_version()
    missing = [name for name in NEEDED if found[name] is None]
    if missing:
        yield fail(
            "libraries",
            f"Python {python}; not installed: {', '.join(missing)}",
            "install the agent again, with all that it needs: pip install asd",
            RuntimeMissing,
        )
    else:
        there = [f"{name} {v}" for name, v in found.items() if v]
        text = f"Python {python}, {ssl.OPENSSL_VERSION}, {', '.join(there)}"
        yield ok("libraries", text, figures={"python": python})
    there = [f"{name} {v}" for name, v in runtimes.items() if v]
    if there:
        yield ok("runtimes", ", ".join(there))
    else:
        text = f"none of {', '.join(RUNTIMES)} is installed: no network can run"
        yield fail("runtimes", text, "pip install onnxruntime", RuntimeMissing)


def sound_library() -> Iterator[Finding]:
    """Whether PortAudio, by which microphones are heard, is there."""
    try:
        with portaudio.no_stderr():
            text = portaudio.library().get_portaudio_version()[1]
    except RuntimeMissing as error:
        yield refused("PortAudio", error)
    else:
        yield ok("PortAudio", text.partition(",")[0])


def metrics(
    config: MetricsConfig | None, agent: Running, bind: Callable[[str, int], None]
) -> Iterator[Finding]:
    """Whether Prometheus can be served.

    Parameters
    ----------
    agent
        A running one has the port itself.
    bind
        Listens on an address for a moment, or raises OSError.
    """
    if config is None:
        return
    where = f"{config.host}:{config.port}"
    figures = {"port": config.port}
    try:
        bind(config.host, config.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and agent is Running.YES:
            yield ok("metrics", f"{where}: in use, as the agent runs", figures=figures)
            return
        yield _taken(config, error)
        return
    if config.host in LOOPBACK:
        yield ok("metrics", f"{where}: free", figures=figures)
    else:
        text = f"{where}: free; whoever reaches this machine can read the figures"
        fix = "metrics.host: 127.0.0.1, or let a firewall pass Prometheus alone"
        yield warn("metrics", text, fix, figures=figures)


def _taken(config: MetricsConfig, error: OSError) -> Finding:
    where = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        text = f"{where}: another program listens there"
        fix = f"see which: sudo ss -ltnp 'sport = {config.port}'; or set metrics.port"
    elif error.errno == errno.EACCES:
        text = f"{where}: ports below 1024 are for root"
        fix = "set metrics.port to 1024 or higher"
    else:
        text = f"{where}: cannot be listened on: {error.strerror or error}"
        fix = "set metrics.host to an address of this machine, such as 127.0.0.1"
    return fail("metrics", text, fix, figures={"port": config.port})


def bind_once(host: str, port: int) -> None:
    """Listen on an address for a moment.

    Raises
    ------
    OSError
        It cannot be listened on.
    """
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind) as probe:
        # As a server does: connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
