"""Any exchange that ccxt.pro has, behind the adapter's interface."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.records import Listing
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.adapter import Markets, Past, Refuse, Sink, Stream, StreamKind, Unanswerable
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_listing, to_ticker
from tapedeck_feed.exchanges.ccxt.history import CcxtPast
from tapedeck_feed.exchanges.ccxt.streams import CcxtStreams
from tapedeck_feed.exchanges.symbols import chosen

_METHODS: dict[StreamKind, str] = {"trades": "watchTrades", "bars": "watchOHLCV", "ticker": "watchTicker"}


class CcxtExchange:
    """One exchange of ccxt.pro. ``sharers`` pods share what rate it allows."""

    def __init__(
        self, exchange: str, keys: dict[str, str], endpoints: Endpoints | None, sharers: int = 1, at_once: int = 1
    ) -> None:
        self.exchange = exchange
        self._client = CcxtClient(exchange, keys, endpoints, sharers, at_once)
        self._streams = CcxtStreams(self._client)
        self._past = CcxtPast(self._client)

    async def open(self, symbols: Sequence[str]) -> Markets:
        """Load the markets and find the symbols."""
        api, traits = self._client.api, self._client.traits
        if traits.recent and not any(":" in symbol for symbol in symbols):
            api.options["fetchMarkets"] = {"types": ["spot"]}
        markets = await self._client.ask(lambda: api.load_markets(True))
        active = [name for name, market in markets.items() if market.get("active") is not False]
        if not active:  # no word on whether the symbols are right
            raise Unanswerable(f"{self.exchange}: got an empty list of markets")
        names = chosen(self.exchange, symbols, active, markets)
        if self._client.keyed and traits.behind_needs_key:
            await self._check_key(names[0])
        return Markets(
            names,
            frozenset(kind for kind, method in _METHODS.items() if api.has.get(method)),
            frozenset(api.timeframes) & INTERVAL_MS.keys() if api.has.get("fetchOHLCV") else frozenset(),
            traits.contiguous,
            self._past.page(names[0]),
            listings=self._listings(names, markets),
            idle=frozenset(names).difference(active),
        )

    async def listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """Asked for beside ``load_markets``: what the streams know of the markets stays as it is."""
        active: dict[str, Any] = await self._client.ask(self._active)
        if not active:
            raise Unanswerable(f"{self.exchange}: got an empty list of markets")
        return self._listings([name for name in symbols if name in active], active)

    async def watch(self, stream: Stream, sink: Sink) -> None:
        """One task for each subscription of ccxt; the first that breaks ends all."""
        await self._streams.watch(stream, sink)

    async def drop(self) -> None:
        """Close every websocket: one that is silent, and those beside it, which come again too."""
        await self._client.api.close_ws_clients()

    async def trades_after(self, symbol: str, last: Trade) -> Past:
        """By id where the exchange can, else by time."""
        return await self._past.trades_after(symbol, last)

    async def bars_from(
        self, symbol: str, interval: str, since: int, until: int, refuse: Refuse | None = None
    ) -> list[Bar]:
        """Page by page, from the oldest to the newest."""
        return await self._past.bars_from(symbol, interval, since, until, refuse)

    async def ticker(self, symbol: str) -> Ticker | None:
        """As ``watch`` would tell it."""
        if not self._client.api.has.get("fetchTicker"):
            return None
        row = await self._client.ask(partial(self._client.api.fetch_ticker, symbol))
        try:
            return to_ticker(self.exchange, symbol, row, time.time_ns() // 1_000_000)
        except ValueError as error:
            raise Unanswerable(f"{self.exchange}: a ticker that can't be read: {error}") from None

    async def clock(self) -> int | None:
        """The server's time, where ccxt can ask for it."""
        if not self._client.api.has.get("fetchTime"):
            return None
        now = await self._client.ask(self._client.api.fetch_time)
        if not isinstance(now, int):
            raise Unanswerable(f"{self.exchange}: the time is {now!r}, expected milliseconds")
        return now

    async def close(self) -> None:
        """End all connections."""
        await self._client.api.close()

    async def _active(self) -> dict[str, Any]:
        return {row["symbol"]: row for row in await self._client.api.fetch_markets() if row.get("active") is not False}

    def _listings(self, names: Sequence[str], markets: Mapping[str, Any]) -> tuple[Listing, ...]:
        now, mode = time.time_ns() // 1_000_000, self._client.api.precisionMode
        return tuple(to_listing(self.exchange, name, markets[name], mode, now) for name in names)

    async def _check_key(self, symbol: str) -> None:
        assert self._client.traits.behind is not None
        parameters = dict(self._client.traits.behind)
        await self._client.ask(lambda: self._client.api.fetch_trades(symbol, None, 1, parameters))
