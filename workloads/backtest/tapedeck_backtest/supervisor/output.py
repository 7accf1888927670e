"""What the strategy's process prints, copied into the pod's log up to limits.outputBytes.

The process has a pipe alone, so that no way of writing passes the limit.
"""

from __future__ import annotations

import os
import threading

from tapedeck_common.sandbox.output import copy_output


class OutputCopy:
    """A thread that copies from ``pipe``, up to ``limit`` bytes, until all writers have closed it."""

    def __init__(self, pipe: int, limit: int) -> None:
        self._pipe = pipe
        self._limit = limit
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for the last output: a process that the strategy left may keep the pipe open."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        copy_output(self._pipe, self._limit)
        os.close(self._pipe)
