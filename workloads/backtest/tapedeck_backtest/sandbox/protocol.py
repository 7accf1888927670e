"""Messages from a run's process to its supervisor over a pipe: the strategy's code is entered or left.

A message is one line, ``entered <run id>`` or ``left``. Each is written at once and shorter than PIPE_BUF, so the write
is atomic: a process that is killed leaves no part of a message. Run ids contain no newline.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_ENTERED, _LEFT = b"entered ", b"left"


class SupervisorChannel:
    """The run's end of the pipe. Without a descriptor there is no supervisor, and messages are dropped."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def strategy_entered(self, run_id: str) -> None:
        """The strategy's code runs from here on, on behalf of this run."""
        self._write(_ENTERED + run_id.encode())

    def strategy_left(self) -> None:
        """The strategy's code has returned, or the run's own code is about to end the process."""
        self._write(_LEFT)

    def _write(self, message: bytes) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, message + b"\n")


@dataclass(frozen=True)
class StrategyActivity:
    """The run id of each time the strategy's code was entered, in order, and whether it was running at the end."""

    run_ids: tuple[str, ...] = ()
    running: bool = False


def decode(received: bytes) -> StrategyActivity:
    """The activity that all messages of a run describe."""
    messages = received.splitlines()
    run_ids = tuple(each.removeprefix(_ENTERED).decode() for each in messages if each.startswith(_ENTERED))
    return StrategyActivity(run_ids, running=bool(messages) and messages[-1] != _LEFT)
