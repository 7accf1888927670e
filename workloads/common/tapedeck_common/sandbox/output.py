"""What foreign code prints: copied from a pipe by the parent, so that no code of the child can lift the limit."""

from __future__ import annotations

import contextlib
import os
import threading

_CHUNK = 65_536


class OutputCopy:
    """A thread that copies from ``pipe`` to descriptor 2 until all writers have closed it, then closes it.

    Up to ``limit`` bytes and one notice are copied. The rest is read and dropped: a full pipe would block its writers.
    """

    def __init__(self, pipe: int, limit: int) -> None:
        self._pipe = pipe
        self._limit = limit
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for the last output: a process that the code left may keep the pipe open."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        room = self._limit
        notice = f"\n… output beyond {self._limit} bytes is dropped\n".encode()
        while part := os.read(self._pipe, _CHUNK):
            if room < 0:
                continue
            kept = part if len(part) <= room else part[:room] + notice
            room -= len(part)
            with contextlib.suppress(OSError):
                os.write(2, kept)
        os.close(self._pipe)
