"""What a strategy prints: kept up to a limit, so that it fills no disk."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


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
            self._target.write("\n… what the strategy prints beyond limits.outputBytes is dropped\n")
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
