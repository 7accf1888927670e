"""A subscription of a live Feed, kept up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

import stamina

from tapedeck_feed.exchanges.adapter import Adapter, Broken, Sink, Stream, Unreachable
from tapedeck_feed.exchanges.retry import waited

RECONNECTS_MAX = 30  # in a row, without a message in between: some ten minutes
SETTLE = 1.0  # seconds after a reconnect at which even silent symbols are asked for
SILENT = 3.0  # seconds more for a first message: before it a connection may not be up


class Listening:
    """One subscription and how it is doing.

    ``lost`` hears of each end, and why; ``settle`` of each beginning, when it is up or should be.
    ``patience`` is how many seconds it may be silent before the exchange is asked; it grows while nothing happens.
    """

    def __init__(
        self,
        stream: Stream,
        lost: Callable[[Stream, str], None],
        settle: Callable[[Stream], Awaitable[None]],
        patience: float,
    ) -> None:
        self.stream = stream
        self.patience = patience
        self.heard = 0.0
        self.worked = False
        self.trouble = ""
        self.look: asyncio.Task[None] | None = None
        """Whether it is dead is being found out."""
        self._patience = patience
        self._lost = lost
        self._settle = settle
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hear(self) -> None:
        """It is alive."""
        self.heard, self.worked, self.trouble = time.monotonic(), True, ""
        self.patience = self._patience
        self._up.set()

    def silent(self, now: float) -> bool:
        """Whether it is there, and was silent for as long as it may be since it was last heard or looked at."""
        looked_at = self.look is not None and not self.look.done()
        return self._task is not None and not looked_at and now - self.heard > self.patience

    def cut(self, trouble: str) -> None:
        """End it, for it to begin anew."""
        self.trouble = trouble
        if self._task is not None:
            self._task.cancel()

    async def keep(self, adapter: Adapter, sink: Sink) -> None:
        """Keep it up until cancelled: reconnect at once where it worked, ever later where it does not."""
        while True:
            async for attempt in stamina.retry_context(
                on=waited, attempts=RECONNECTS_MAX, timeout=None, wait_initial=0.2, wait_max=30.0
            ):
                with attempt:
                    await self._listen(adapter, sink)
            await asyncio.sleep(random.uniform(0.02, 0.2))  # not all at once

    async def _listen(self, adapter: Adapter, sink: Sink) -> None:
        """Listen until it breaks. Raises Unreachable where it never worked."""
        self.heard, self.worked = time.monotonic(), False
        self._up.clear()
        settling = asyncio.ensure_future(self._settled())
        task = self._task = asyncio.ensure_future(adapter.watch(self.stream, sink))
        try:
            await asyncio.wait([task])
            if task.cancelled() or isinstance(error := task.exception(), Broken):
                self._lost(self.stream, self.trouble)
                return
            self.trouble = str(error)
            self._lost(self.stream, self.trouble)
            if error is not None and (not self.worked or not isinstance(error, Unreachable)):
                raise error
        finally:
            settling.cancel()
            task.cancel()
            self._task = None

    async def _settled(self) -> None:
        """A while after a beginning, though nothing comes."""
        await asyncio.sleep(SETTLE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), SILENT)
        await self._settle(self.stream)
