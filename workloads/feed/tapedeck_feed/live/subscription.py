"""One subscription of a live Feed, which reconnects until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import stamina

from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeStream, MarketDataListener
from tapedeck_feed.exchanges.errors import ExchangeUnreachable, SubscriptionLost
from tapedeck_feed.exchanges.retry import retry_delay

RECONNECTS_MAX = 30  # consecutive ones without a message in between: about ten minutes
SETTLE_DELAY = 1.0  # seconds after a reconnect at which even silent symbols are recovered
FIRST_MESSAGE_TIMEOUT = 3.0  # seconds more for a first message: before it a connection may not be up


class Connection(Enum):
    """The connection of a subscription.

    | event \\ state | DOWN | CONNECTING | OPEN | ACTIVE |
    |---|---|---|---|---|
    | it connects | CONNECTING | – | – | – |
    | its connection is open | – | OPEN | – | – |
    | a message arrives | – | ACTIVE | ACTIVE | – |
    | it ends, fails or is cut | – | DOWN | DOWN | DOWN |
    """

    DOWN = auto()
    CONNECTING = auto()
    OPEN = auto()
    ACTIVE = auto()


class Subscription:
    """Keeps one subscription connected.

    - ``on_lost`` is called with each end and its reason, ``on_settled`` a while after each reconnect.
    - ``silence_limit``: after so many seconds without a message the exchange is probed. It grows while a probe finds
      nothing new, and returns to its first value with the next message.
    - ``trouble``: why nothing arrives at present; empty while messages arrive, or its new connection is open.
    - ``last_message_at``: when the last message arrived, in Unix time, before the first one when it was made.
      ``missed_probes``: probes since then that found what it had not delivered. ``probe``: the last probe's task.
    """

    def __init__(
        self,
        stream: ExchangeStream,
        on_lost: Callable[[ExchangeStream, str], None],
        on_settled: Callable[[ExchangeStream], Awaitable[None]],
        silence_limit: float,
    ) -> None:
        self.stream = stream
        self.silence_limit = silence_limit
        self.connection = Connection.DOWN
        self.last_activity = 0.0
        self.trouble = ""
        self.last_message_at = time.time()
        self.missed_probes = 0
        self.probe: asyncio.Task[None] | None = None
        self._first_silence_limit = silence_limit
        self._on_lost = on_lost
        self._on_settled = on_settled
        self._first_message = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def record_open(self) -> None:
        """Its connection is open. A market where nothing happens sends nothing more."""
        if self.connection is Connection.CONNECTING:
            self.connection = Connection.OPEN
            if not self.missed_probes:
                self.trouble = ""

    def record_activity(self) -> None:
        """A message arrived."""
        if self.connection is not Connection.DOWN:
            self.connection = Connection.ACTIVE
        self.last_activity, self.trouble = time.monotonic(), ""
        self.last_message_at, self.missed_probes = time.time(), 0
        self.silence_limit = self._first_silence_limit
        self._first_message.set()

    def is_silent(self, now: float) -> bool:
        """Whether it is connected, without a message or a probe for ``silence_limit`` seconds."""
        is_probed = self.probe is not None and not self.probe.done()
        is_down = self.connection is Connection.DOWN
        return not is_down and not is_probed and now - self.last_activity > self.silence_limit

    def reconnect(self, reason: str) -> None:
        """End the connection, so that it is made again."""
        self.trouble = reason
        if self._task is not None:
            self._task.cancel()

    async def run(self, adapter: ExchangeAdapter, listener: MarketDataListener) -> None:
        """Stay subscribed until cancelled: reconnect at once after messages, with growing delays without any.

        Raises ExchangeUnreachable after RECONNECTS_MAX attempts without a message, and other errors of the adapter.
        """
        while True:
            async for attempt in stamina.retry_context(
                on=retry_delay, attempts=RECONNECTS_MAX, timeout=None, wait_initial=0.2, wait_max=30.0
            ):
                with attempt:
                    await self._subscribe(adapter, listener)
            await asyncio.sleep(random.uniform(0.02, 0.2))  # subscriptions do not reconnect at the same instant

    async def _subscribe(self, adapter: ExchangeAdapter, listener: MarketDataListener) -> None:
        """Subscribe until the connection ends. Raises ExchangeUnreachable where no message arrived."""
        self.last_activity, self.connection = time.monotonic(), Connection.CONNECTING
        self._first_message.clear()
        settling = asyncio.ensure_future(self._settle())
        task = self._task = asyncio.ensure_future(adapter.subscribe(self.stream, listener))
        try:
            await asyncio.wait([task])
            was_active = self.connection is Connection.ACTIVE
            if task.cancelled() or isinstance(error := task.exception(), SubscriptionLost):
                self._on_lost(self.stream, self.trouble)
                return
            self.trouble = str(error)
            self._on_lost(self.stream, self.trouble)
            if error is not None and (not was_active or not isinstance(error, ExchangeUnreachable)):
                raise error
        finally:
            settling.cancel()
            task.cancel()
            self._task, self.connection = None, Connection.DOWN

    async def _settle(self) -> None:
        """Report the reconnect a while after it, also where no message arrives."""
        await asyncio.sleep(SETTLE_DELAY)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first_message.wait(), FIRST_MESSAGE_TIMEOUT)
        await self._on_settled(self.stream)
