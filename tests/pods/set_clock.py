"""Processes whose wall clock a test sets forward and back; the machine's own is left alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.processes import Process

SITE = Path(__file__).parent / "changed_clock"


@dataclass
class SettableClock:
    """The wall clock of the processes that ``start`` starts, as Python's ``time`` tells it.

    Their monotonic clock, the broker's and the database's are the machine's.
    """

    file: Path

    def set(self, seconds: float) -> None:
        """Set the clock to so many seconds after the machine's, at once for all processes."""
        following = self.file.with_suffix(".new")
        following.write_text(f"{seconds:f}", "ascii")
        following.replace(self.file)

    def start(self, module: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> Process:
        """Start ``python -m module`` with this clock."""
        path = os.pathsep.join(filter(None, [str(SITE), env.get("PYTHONPATH", os.environ.get("PYTHONPATH"))]))
        changed = {"PYTHONPATH": path, "TEST_CLOCK_FILE": str(self.file)}
        return processes.start_module(module, arguments, log=log, env={**env, **changed}, cwd=cwd)
