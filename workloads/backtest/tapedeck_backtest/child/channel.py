"""The strategy's end of the pipes."""

from __future__ import annotations

import os
import select
from typing import TypeVar

from tapedeck_backtest.errors import PodGone
from tapedeck_backtest.protocol import messages
from tapedeck_backtest.protocol.frames import LENGTH_BYTES, framed
from tapedeck_backtest.protocol.messages import FromStrategy, ToStrategy

_READ_BYTES = 1_048_576
_PENDING_BYTES = 32_768
TaskT = TypeVar("TaskT")


class PodChannel:
    """Messages from and to the pod. ``busy`` is whether one is on its way, which no signal may cut."""

    def __init__(self, tasks: int, answers: int) -> None:
        self._tasks = tasks
        self._answers = answers
        self.busy = False
        self._pending = bytearray()

    def send(self, message: FromStrategy, *, later: bool = False) -> None:
        """Send a message; waits while the pod does not read. With ``later`` it may wait for the next one."""
        self.busy = True
        try:
            self._pending += framed(messages.encode(message))
            if not later or len(self._pending) >= _PENDING_BYTES:
                rest, self._pending = memoryview(self._pending), bytearray()
                while len(rest):
                    rest = rest[os.write(self._answers, rest) :]
        finally:
            self.busy = False

    def receive(self) -> ToStrategy:
        """The next message. Raises PodGone."""
        self.busy = True
        try:
            length = int.from_bytes(self._read(LENGTH_BYTES), "big")
            task: ToStrategy = messages.decode_task(self._read(length))
            return task
        finally:
            self.busy = False

    def receive_of(self, expected: type[TaskT]) -> TaskT:
        """The next message, which must be of this type. Raises PodGone."""
        message = self.receive()
        if not isinstance(message, expected):
            raise TypeError(f"got {type(message).__name__}, expected {expected.__name__}")
        return message

    def has_message(self, seconds: float) -> bool:
        """Whether a message arrives within this time."""
        return bool(select.select([self._tasks], [], [], seconds)[0])

    def _read(self, length: int) -> bytearray:
        received = bytearray()
        while len(received) < length:
            part = os.read(self._tasks, min(length - len(received), _READ_BYTES))
            if not part:
                raise PodGone("the pod closed the pipe")
            received += part
        return received
