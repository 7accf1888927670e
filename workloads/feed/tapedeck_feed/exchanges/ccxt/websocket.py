"""ccxt's exchange classes and caches, changed where a Feed needs more of a websocket.

- A message that ccxt fails to parse raises in its receive loop, which then never runs again: the connection stays open
  but delivers nothing.
- ccxt replaces a connection that breaks while no task waits for its next message, without reporting the break.
- Its sessions connect to any address.
- A third of ccxt's time for a trade goes into values that a Feed does not use.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
import ccxt
from ccxt.async_support.base.ws.cache import ArrayCache

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_feed.exchanges.ccxt.luno import LunoTrades
from tapedeck_feed.exchanges.connector import checked_connector
from tapedeck_feed.exchanges.request_metrics import counted_rate_limit_wait

OnMalformed = Callable[[str, str], None]
"""Called with (reason, message) for a message that ccxt cannot parse."""
OnTradeRow = Callable[[dict[str, Any]], None]
ON_OPEN: ContextVar[Callable[[], None] | None] = ContextVar("on_open", default=None)
"""Called when a connection is open that the present task uses; ccxt chooses the connection of a subscription."""
ISO_END = 253_402_300_800_000  # the year 10000, milliseconds UTC


@lru_cache(maxsize=16)
def _iso_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def tell_when_open(connected: asyncio.Future[Any], on_open: Callable[[], None]) -> None:
    """Call ``on_open`` once ccxt's future of a connection is resolved; not where the connection fails."""

    def tell(done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is None:
            on_open()

    connected.add_done_callback(tell)


class FastParsing:
    """A mixin before an exchange class of ccxt: less work for each trade, with the same result."""

    def safe_trade(self: Any, trade: dict[str, Any], market: Any = None) -> dict[str, Any]:
        """Price and amount as numbers, without cost and fees."""
        trade["amount"] = self.parse_number(self.safe_string(trade, "amount"))
        trade["price"] = self.parse_number(self.safe_string(trade, "price"))
        return trade

    @staticmethod
    def iso8601(timestamp: Any = None) -> str | None:
        """``2024-08-08T00:00:00.123Z``; the trades of one second share the formatted second."""
        if type(timestamp) is int and 0 <= timestamp < ISO_END:
            return f"{_iso_second(timestamp // 1000)}.{timestamp % 1000:03d}Z"
        formatted: str | None = ccxt.Exchange.iso8601(timestamp)
        return formatted


def load_exchange_class(module: str, name: str) -> type[Any]:
    """The exchange class ``name`` of a module of ccxt, with the changes. Raises ModuleNotFoundError."""
    exchange_class: type[Any] = getattr(importlib.import_module(module), name)

    mixins = (FastParsing, LunoTrades) if name == "luno" else (FastParsing,)

    class ResilientExchange(*mixins, exchange_class):  # type: ignore[misc]
        """``on_malformed`` receives messages that cannot be parsed; ``disconnects`` counts lost connections.

        It connects only to what ``policy`` permits.
        """

        on_malformed: OnMalformed = staticmethod(lambda _reason, _payload: None)
        disconnects = 0
        policy: EndpointPolicy

        def open(self: Any, lazy: bool = False) -> None:
            owns_session, self.own_session = self.own_session, False
            try:
                super().open(lazy)  # makes the TLS context, and a session only of its own
            finally:
                self.own_session = owns_session
            if owns_session and self.session is None:
                self.tcp_connector = checked_connector(self.policy, ssl=self.ssl_context, happy_eyeballs_delay=0)
                self.session = aiohttp.ClientSession(connector=self.tcp_connector)

        async def throttle(self: Any, cost: Any = None) -> None:
            with counted_rate_limit_wait():
                await super().throttle(cost)

        def client(self, url: str) -> Any:
            is_new = url not in self.clients
            client = super().client(url)
            if is_new:
                self._guard(client)
            if (on_open := ON_OPEN.get()) is not None:
                tell_when_open(client.connected, on_open)
            return client

        def on_close(self, client: Any, error: Any) -> None:
            self.disconnects += 1
            super().on_close(client, error)

        def on_error(self, client: Any, error: Any) -> None:
            self.disconnects += 1
            super().on_error(client, error)

        def _guard(self, client: Any) -> None:
            handle = client.handle_text_or_binary_message

            def handle_safely(data: Any) -> None:
                try:
                    handle(data)
                except Exception as error:  # the receive loop must reach the next message
                    self.on_malformed(f"{type(error).__name__}: {error}", str(data))

            client.handle_text_or_binary_message = handle_safely

    ResilientExchange.__name__ = name  # ccxt shows it in its messages
    return ResilientExchange


class TradeForwarder(ArrayCache):  # type: ignore[misc]
    """Replaces ccxt's cache of trades: passes each trade on at once, in the order of the messages.

    ccxt's own cache wakes a waiting task instead, which sees what changed since it last looked: later, and incomplete
    where many symbols share a task or more trades arrived than the cache holds.
    """

    def __init__(self, on_trade: OnTradeRow) -> None:
        super().__init__(1)
        self._on_trade = on_trade

    def append(self, item: dict[str, Any]) -> None:
        """ccxt calls this for each trade."""
        self._on_trade(item)
