"""The adapter of every exchange of ccxt.pro."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.records import Listing
from tapedeck_crds.exchange import Endpoints
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.exchanges.adapter import (
    ExchangeMarkets,
    ExchangeStream,
    MarketDataListener,
    OnInvalidRow,
    RecoveredTrades,
    StreamKind,
)
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_listing, to_ticker
from tapedeck_feed.exchanges.ccxt.history import CcxtHistory
from tapedeck_feed.exchanges.ccxt.streams import CcxtStreams
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed
from tapedeck_feed.exchanges.symbols import select_symbols

_STREAM_METHODS: dict[StreamKind, str] = {"trades": "watchTrades", "bars": "watchOHLCV", "ticker": "watchTicker"}


class CcxtAdapter:
    """One exchange. ``pods`` share its rate limit; ``concurrency`` requests run at the same time."""

    def __init__(
        self,
        exchange: str,
        keys: dict[str, str],
        endpoints: Endpoints | None,
        policy: EndpointPolicy,
        pods: int = 1,
        concurrency: int = 1,
    ) -> None:
        self.exchange = exchange
        self._client = CcxtClient(exchange, keys, endpoints, policy, pods, concurrency)
        self._streams = CcxtStreams(self._client)
        self._history = CcxtHistory(self._client)

    async def load_markets(self, symbols: Sequence[str]) -> ExchangeMarkets:
        """Loads ccxt's markets and checks the API key where recovery needs it."""
        api, capabilities = self._client.api, self._client.capabilities
        if capabilities.recent_params and not any(":" in symbol for symbol in symbols):
            api.options["fetchMarkets"] = {"types": ["spot"]}
        markets = await self._client.request(lambda: api.load_markets(True))
        active = [name for name, market in markets.items() if market.get("active") is not False]
        if not active:  # says nothing about whether the symbols are right
            raise ExchangeRequestFailed(f"{self.exchange}: got an empty list of markets")
        selected = select_symbols(self.exchange, symbols, active, markets)
        if self._client.has_key and capabilities.by_id_needs_key:
            await self._check_key(selected[0])
        return ExchangeMarkets(
            selected,
            frozenset(kind for kind, method in _STREAM_METHODS.items() if api.has.get(method)),
            frozenset(api.timeframes) & BAR_LENGTHS.keys() if api.has.get("fetchOHLCV") else frozenset(),
            capabilities.contiguous_ids,
            self._history.bars_per_page(selected[0]),
            request_seconds=float(api.rateLimit) / 1_000,
            listings=self._listings(selected, markets),
            inactive=frozenset(selected).difference(active),
        )

    async def fetch_listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """Requested beside ``load_markets``, so that ccxt's own markets, which its streams use, do not change."""
        active: dict[str, Any] = await self._client.request(self._active_markets)
        if not active:
            raise ExchangeRequestFailed(f"{self.exchange}: got an empty list of markets")
        return self._listings([name for name in symbols if name in active], active)

    async def subscribe(self, stream: ExchangeStream, listener: MarketDataListener) -> None:
        """By ccxt.pro."""
        await self._streams.subscribe(stream, listener)

    async def disconnect(self) -> None:
        """Closes every websocket, also those of other subscriptions, which reconnect too."""
        await self._client.api.close_ws_clients()

    async def fetch_trades_after(self, symbol: str, last: Trade) -> RecoveredTrades:
        """By id where the exchange can, else by time."""
        return await self._history.fetch_trades_after(symbol, last)

    async def fetch_bars(
        self, symbol: str, interval: str, since: int, until: int, on_invalid: OnInvalidRow | None = None
    ) -> list[Bar]:
        """Page by page, from the oldest to the newest."""
        return await self._history.fetch_bars(symbol, interval, since, until, on_invalid)

    async def fetch_ticker(self, symbol: str) -> Ticker | None:
        """The same values as the stream's."""
        if not self._client.api.has.get("fetchTicker"):
            return None
        row = await self._client.request(partial(self._client.api.fetch_ticker, symbol))
        try:
            return to_ticker(self.exchange, symbol, row, time.time_ns() // 1_000_000)
        except ValueError as error:
            raise ExchangeRequestFailed(f"{self.exchange}: cannot parse a ticker: {error}") from None

    async def fetch_time(self) -> int | None:
        """The server's time, where ccxt can request it."""
        if not self._client.api.has.get("fetchTime"):
            return None
        now = await self._client.request(self._client.api.fetch_time)
        if not isinstance(now, int):
            raise ExchangeRequestFailed(f"{self.exchange}: time: got {now!r}, expected milliseconds")
        return now

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.api.close()

    async def _active_markets(self) -> dict[str, Any]:
        return {row["symbol"]: row for row in await self._client.api.fetch_markets() if row.get("active") is not False}

    def _listings(self, symbols: Sequence[str], markets: Mapping[str, Any]) -> tuple[Listing, ...]:
        now, mode = time.time_ns() // 1_000_000, self._client.api.precisionMode
        return tuple(to_listing(self.exchange, symbol, markets[symbol], mode, now) for symbol in symbols)

    async def _check_key(self, symbol: str) -> None:
        assert self._client.capabilities.by_id_params is not None
        params = dict(self._client.capabilities.by_id_params)
        await self._client.request(lambda: self._client.api.fetch_trades(symbol, None, 1, params))
