"""The time that a client has to read what is sent to it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from tapedeck_gateway.options import GatewayLimits


class ReadDeadline:
    """A part of uvicorn's protocols: ends a connection whose client does not read.

    A transport that is closed first sends what it still has, and so would stay as long as its client wishes.
    """

    limits: ClassVar[GatewayLimits]
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _read_deadline: asyncio.TimerHandle | None = None

    def expect_read(self) -> None:
        """End the connection at the deadline."""
        self.cancel_read_deadline()
        self._read_deadline = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def cancel_read_deadline(self) -> None:
        """The client has read, or is gone."""
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None
