"""What a strategy prints: kept up to a limit, so that it fills no disk.

Text in Python is bounded where it is printed. What goes past that, from libraries in C and from processes that the
strategy starts, is written to a pipe, and bounded by the process above.
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


class Bounded(io.TextIOBase):
    """A text stream that lets ``room`` bytes through, says once that there was more, and drops the rest."""

    def __init__(self, target: TextIO, room: int) -> None:
        self._target = target
        self._room = room
        self._said = False

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self._said:
            return len(text)
        raw = text[: self._room + 1].encode(errors="replace")
        self._target.write(raw[: self._room].decode(errors="ignore"))
        if len(raw) > self._room:
            self._said = True
            self._target.write(_DROPPED)
        self._room -= len(raw)
        return len(text)

    def flush(self) -> None:
        self._target.flush()


@contextmanager
def bounded_output(room: int) -> Iterator[None]:
    """Standard output and error, and the handlers of logging, share ``room`` bytes. Our own log does not."""
    out, error = sys.stdout, sys.stderr
    bounded = Bounded(error, room)
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


def lead_into(pipe: int) -> None:
    """Have this process write to ``pipe`` what goes to descriptors 1 and 2, but for Python's own two streams."""
    kept = os.dup(2)
    for descriptor in (1, 2):
        os.dup2(pipe, descriptor)
    os.close(pipe)
    sys.stdout = sys.stderr = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")


def pass_on(pipe: int, room: Callable[[], int]) -> None:
    """Write to descriptor 2 what comes out of ``pipe``, up to ``room()`` bytes, until all have closed it.

    ``room`` is asked when something comes. Nothing may end this: who writes would wait for ever.
    """
    left: int | None = None
    while part := os.read(pipe, _CHUNK):
        left = room() if left is None else left
        if left >= 0:
            said = part[:left] if len(part) <= left else part[:left] + _DROPPED.encode()
            left -= len(part)
            with contextlib.suppress(OSError):
                os.write(2, said)
