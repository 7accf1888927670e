"""What foreign code prints: copied from a pipe by the parent, so that no code of the child can lift the limit."""

from __future__ import annotations

import contextlib
import os

_CHUNK = 65_536


def copy_output(pipe: int, limit: int) -> None:
    """Copy from ``pipe`` to descriptor 2, up to ``limit`` bytes and one notice, until all writers have closed it.

    The rest is read and dropped, because a full pipe would block its writers.
    """
    room = limit
    while part := os.read(pipe, _CHUNK):
        if room < 0:
            continue
        kept = part if len(part) <= room else part[:room] + f"\n… output beyond {limit} bytes is dropped\n".encode()
        room -= len(part)
        with contextlib.suppress(OSError):
            os.write(2, kept)
