"""The address of a Unix socket, which the kernel limits to some hundred bytes."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

MAX_BYTES = 100  # of an address: 108 on Linux, 104 on macOS


def socket_address(path: Path) -> str:
    """A short name of a socket's path. Where the path is too long it goes by its folder, which then stays open."""
    if len(os.fsencode(path)) <= MAX_BYTES or sys.platform != "linux":
        return str(path)
    return f"/proc/self/fd/{_opened(path.parent)}/{path.name}"


@cache
def _opened(folder: Path) -> int:
    return os.open(folder, os.O_PATH | os.O_DIRECTORY)
