"""Where lines of the log are written."""

from __future__ import annotations

import contextlib
import os


class UnfailingLog:
    """Writes to a descriptor. What cannot be written, as on a full disk, is dropped: no program fails by its log."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Write text; returns its length."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""
