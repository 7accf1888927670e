"""ccxt's websocket clients, made safe against what they can't take.

A message that ccxt fails to read raises in its receive loop, which then never runs again: the connection stays
open and deaf. And a connection that breaks while nobody waits for its next message is replaced without a word.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import ccxt
from ccxt.async_support.base.ws.cache import ArrayCache

Told = Callable[[str, str], None]
"""(what went wrong, the message)"""
ISO_END = 253_402_300_800_000  # the year 10000, milliseconds UTC


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Lean:
    """Comes before an exchange class of ccxt. A third of ccxt's time for a trade goes into these two."""

    def safe_trade(self: Any, trade: dict[str, Any], market: Any = None) -> dict[str, Any]:
        """Price and amount as numbers, but neither cost nor fees."""
        trade["amount"] = self.parse_number(self.safe_string(trade, "amount"))
        trade["price"] = self.parse_number(self.safe_string(trade, "price"))
        return trade

    @staticmethod
    def iso8601(timestamp: Any = None) -> str | None:
        """``2024-08-08T00:00:00.123Z``; trades of a second share its text."""
        if type(timestamp) is int and 0 <= timestamp < ISO_END:
            return f"{_second(timestamp // 1000)}.{timestamp % 1000:03d}Z"
        told: str | None = ccxt.Exchange.iso8601(timestamp)
        return told


def guarded(module: str, name: str) -> type[Any]:
    """The exchange class of a module of ccxt, guarded. Raises ModuleNotFoundError where there is none."""
    kind: type[Any] = getattr(importlib.import_module(module), name)

    class Guarded(Lean, kind):  # type: ignore[misc]
        """``on_malformed`` hears of messages that could not be read; ``breaks`` counts lost connections."""

        on_malformed: Told = staticmethod(lambda _reason, _payload: None)
        breaks = 0

        def client(self, url: str) -> Any:
            known = url in self.clients
            client = super().client(url)
            if not known:
                self._guard(client)
            return client

        def on_close(self, client: Any, error: Any) -> None:
            self.breaks += 1
            super().on_close(client, error)

        def on_error(self, client: Any, error: Any) -> None:
            self.breaks += 1
            super().on_error(client, error)

        def _guard(self, client: Any) -> None:
            read = client.handle_text_or_binary_message

            def read_safely(data: Any) -> None:
                try:
                    read(data)
                except Exception as error:  # whatever it is, the next message must be read
                    self.on_malformed(f"{type(error).__name__}: {error}", str(data))

            client.handle_text_or_binary_message = read_safely

    Guarded.__name__ = name  # ccxt shows it in its messages
    return Guarded


Take = Callable[[dict[str, Any]], None]


class Tap(ArrayCache):  # type: ignore[misc]
    """Hands each trade on at once, in the order of the messages.

    ccxt's own cache wakes a waiting task instead, which sees what changed since it last looked: later, and
    less where many symbols share a task or more came than the cache holds.
    """

    def __init__(self, take: Take) -> None:
        super().__init__(1)
        self._take = take

    def append(self, item: dict[str, Any]) -> None:
        """What ccxt calls for each trade."""
        self._take(item)
