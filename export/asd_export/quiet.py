"""Keep the chatter of converters off the terminal unless they fail."""

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

UNAVOIDABLE: tuple[tuple[type[Warning], str], ...] = (
    # torch copies its own pytree specs when it exports a graph.
    (FutureWarning, "`isinstance(treespec, LeafSpec)` is deprecated"),
    # The quantiser reads inner tensors to calibrate: that is the purpose.
    (UserWarning, "Warning: Enabling `experimental_preserve_all_tensors`"),
)
"""Warnings that a library raises at itself, whatever we call"""


@contextmanager
def quiet() -> Iterator[None]:
    """Collect what is written to stdout and stderr, native code included.

    Written to stderr after all if the block raises; dropped otherwise.
    """
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        for category, message in UNAVOIDABLE:
            warnings.filterwarnings("ignore", re.escape(message), category)
        try:
            with _redirected(sink.fileno()):
                yield
        except Exception:
            sink.seek(0)
            sys.stderr.write(sink.read().decode(errors="replace"))
            raise


@contextmanager
def _redirected(target: int) -> Iterator[None]:
    saved = [(fd, os.dup(fd)) for fd in (1, 2)]
    _flush()
    try:
        for fd, _ in saved:
            os.dup2(target, fd)
        yield
    finally:
        _flush()
        for fd, copy in saved:
            os.dup2(copy, fd)
            os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
