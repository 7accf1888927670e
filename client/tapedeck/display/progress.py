"""A progress bar of one line: in notebooks and terminals, and nothing where output goes into a file."""

from __future__ import annotations

import sys
import time

WIDTH = 30


def is_interactive() -> bool:
    """Whether somebody looks: a terminal, or a notebook. A process that only loaded a kernel's package is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


class ProgressLine:
    """A line on standard error that is written over while ``done`` of ``total`` grows. ``shown=False`` writes none."""

    def __init__(self, label: str, *, shown: bool | None = None) -> None:
        self._label = label
        self._shown = is_interactive() if shown is None else shown
        self._began = time.monotonic()
        self._last = ""

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show how far it is."""
        share = min(done / total, 1.0) if total else 0.0
        filled = round(share * WIDTH)
        counted = f"{done:,}/{total:,}" if total else f"{done:,}"
        self._write(f"{self._label} {'█' * filled}{'░' * (WIDTH - filled)} {counted} {note}".rstrip())

    def end(self, note: str) -> None:
        """Replace the bar by a last line."""
        self._write(f"{self._label} {note} ({time.monotonic() - self._began:.1f} s)")
        if self._shown:
            print(file=sys.stderr, flush=True)

    def _write(self, text: str) -> None:
        if self._shown and text != self._last:
            blank = " " * max(len(self._last) - len(text), 0)
            print(f"\r{text}{blank}", end="", file=sys.stderr, flush=True)
            self._last = text
