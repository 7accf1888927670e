"""Output limit: what a strategy prints is kept up to limits.outputBytes, so that it cannot fill the disk.

Text printed in Python is limited by BoundedStream. Output that bypasses Python's streams, from C libraries and child
processes of the strategy, goes to a pipe, and the supervisor limits it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DROPPED = "\n… what the strategy prints beyond limits.outputBytes is dropped\n"
_CHUNK = 65_536


class BoundedStream(io.TextIOBase):
    """A text stream that passes ``limit`` bytes to ``target``, then one notice, and drops the rest."""

    def __init__(self, target: TextIO, limit: int) -> None:
        self._target = target
        self._remaining = limit
        self._exhausted = False

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self._exhausted:
            return len(text)
        raw = text[: self._remaining + 1].encode(errors="replace")
        self._target.write(raw[: self._remaining].decode(errors="ignore"))
        if len(raw) > self._remaining:
            self._exhausted = True
            self._target.write(_DROPPED)
        self._remaining -= len(raw)
        return len(text)

    def flush(self) -> None:
        self._target.flush()


@contextmanager
def bounded_output(limit: int) -> Iterator[None]:
    """Limit standard output, standard error and the handlers of logging to ``limit`` bytes in all.

    The run's own log is not affected.
    """
    out, error = sys.stdout, sys.stderr
    bounded = BoundedStream(error, limit)
    handlers = [each for each in logging.root.handlers if isinstance(each, logging.StreamHandler)]
    sys.stdout = sys.stderr = bounded
    for handler in handlers:
        handler.setStream(bounded)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, error
        for handler in handlers:
            handler.setStream(error)


def redirect_output(pipe: int) -> None:
    """Redirect this process's descriptors 1 and 2 to ``pipe``. Python's own two streams keep writing to the old 2."""
    kept = os.dup(2)
    for descriptor in (1, 2):
        os.dup2(pipe, descriptor)
    os.close(pipe)
    sys.stdout = sys.stderr = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")


def copy_output(pipe: int, limit: Callable[[], int]) -> None:
    """Copy from ``pipe`` to descriptor 2, up to ``limit()`` bytes, until all writers have closed the pipe.

    ``limit`` is called on the first output. The rest is read and dropped, because a full pipe would block its writers.
    """
    remaining: int | None = None
    while part := os.read(pipe, _CHUNK):
        remaining = limit() if remaining is None else remaining
        if remaining >= 0:
            kept = part[:remaining] if len(part) <= remaining else part[:remaining] + _DROPPED.encode()
            remaining -= len(part)
            with contextlib.suppress(OSError):
                os.write(2, kept)
