"""The logs of pods, which whoever can ask a pod for something can make grow."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tapedeck_deck.embedded.private_files import open_private

LOG_BYTES = 16 * 2**20  # of a pod's log; as many of the lines before it are kept beside it


def bound_log(log: Path) -> None:
    """Begin a log again once it is longer than LOG_BYTES; what it held is kept in ``<name>.previous``.

    Its pod keeps the file open, and appends. Lines that it writes between the copy and the end of the file are lost.
    Where there is no space for the copy, the log begins again without one.
    """
    try:
        if log.stat().st_size <= LOG_BYTES:
            return
    except FileNotFoundError:
        return
    previous = log.with_name(f"{log.name}.previous")
    previous.unlink(missing_ok=True)
    try:
        with log.open("rb") as source, open_private(previous, "wb") as copy:
            shutil.copyfileobj(source, copy)
    except OSError:
        with contextlib.suppress(OSError):
            previous.unlink(missing_ok=True)
    os.truncate(log, 0)
