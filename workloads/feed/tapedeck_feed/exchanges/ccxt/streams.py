"""Websocket subscriptions by ccxt.pro."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import ccxt

from tapedeck_feed.exchanges.adapter import ExchangeStream, MarketDataListener
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_bar, to_ticker
from tapedeck_feed.exchanges.ccxt.errors import handshake_retry_after, translate_error
from tapedeck_feed.exchanges.ccxt.websocket import ON_OPEN, OnTradeRow, TradeForwarder
from tapedeck_feed.exchanges.errors import ExchangeUnreachable, SubscriptionLost
from tapedeck_feed.exchanges.lifecycle import run_until_first_ends

FORWARDED_POLL_INTERVAL = 0.02  # seconds between calls of ccxt where trades are forwarded without them


class CcxtStreams:
    """The adapter's ``subscribe``."""

    def __init__(self, client: CcxtClient) -> None:
        self._client = client
        self._connect_after = 0.0

    async def subscribe(self, stream: ExchangeStream, listener: MarketDataListener) -> None:
        """One task for each subscription of ccxt; the first that fails ends all."""
        await asyncio.sleep(max(self._connect_after - time.monotonic(), 0.0))
        self._client.api.on_malformed = lambda reason, payload: listener.on_malformed("", None, reason, payload)
        await run_until_first_ends(
            [self._poll(stream, listener, wait) for wait in self._subscriptions(stream, listener)]
        )

    def _subscriptions(
        self, stream: ExchangeStream, listener: MarketDataListener
    ) -> list[Callable[[], Awaitable[bool]]]:
        """Calls that wait for the next message; each returns True where a TradeForwarder delivers the trades."""
        if stream.kind == "trades":
            return self._trade_subscriptions(stream, self._trade_handler(listener))
        if stream.kind == "bars":
            return [partial(self._wait_for_candles, symbol, stream.interval, listener) for symbol in stream.symbols]
        return [partial(self._wait_for_ticker, symbol, listener) for symbol in stream.symbols]

    def _trade_subscriptions(self, stream: ExchangeStream, on_trade: OnTradeRow) -> list[Callable[[], Awaitable[bool]]]:
        api = self._client.api
        for symbol in stream.symbols:
            api.trades[symbol] = TradeForwarder(on_trade)
        many = api.has.get("watchTradesForSymbols")

        async def wait_for_trades(symbols: list[str]) -> bool:
            if many:
                await api.watch_trades_for_symbols(symbols)
            else:
                await api.watch_trades(symbols[0])
            self._restore_forwarders(symbols, on_trade)
            return True

        groups = [list(stream.symbols)] if many else [[symbol] for symbol in stream.symbols]
        return [partial(wait_for_trades, group) for group in groups]

    async def _poll(
        self, stream: ExchangeStream, listener: MarketDataListener, wait: Callable[[], Awaitable[bool]]
    ) -> None:
        disconnects, delivered = self._client.api.disconnects, False
        ON_OPEN.set(partial(listener.on_open, stream))
        while True:
            try:
                forwarded = await wait()
            except (ccxt.NetworkError, OSError, aiohttp.ClientError) as error:  # ccxt wraps some of them only
                if delivered:
                    raise SubscriptionLost(f"{self._client.exchange}: {error}") from None
                retry_after = handshake_retry_after(error)
                self._connect_after = time.monotonic() + (retry_after or 0.0)  # for every subscription of this pod
                raise ExchangeUnreachable(f"{self._client.exchange}: {error}", retry_after) from None
            except ccxt.BaseError as error:
                raise translate_error(error, None) from None
            delivered = True
            ON_OPEN.set(None)
            listener.on_activity(stream)
            if forwarded:
                await asyncio.sleep(FORWARDED_POLL_INTERVAL)
            if self._client.api.disconnects != disconnects:  # ccxt would reconnect without reporting it
                raise SubscriptionLost(f"{self._client.exchange}: the connection was lost")

    def _trade_handler(self, listener: MarketDataListener) -> OnTradeRow:
        convert = self._client.to_trade

        def on_trade(row: dict[str, Any]) -> None:
            symbol = row["symbol"]
            try:
                trade = convert(symbol, row)
            except (ValueError, KeyError) as error:
                listener.on_malformed(str(symbol), "trades", str(error), str(row.get("info")))
            else:
                listener.on_trade(trade)

        return on_trade

    def _restore_forwarders(self, symbols: list[str], on_trade: OnTradeRow) -> None:
        """Forward what is in caches that the exchange's class has created itself, and replace them."""
        for symbol in symbols:
            cache = self._client.api.trades.get(symbol)
            if not isinstance(cache, TradeForwarder):
                for row in list(cache or ()):
                    on_trade(row)
                self._client.api.trades[symbol] = TradeForwarder(on_trade)

    async def _wait_for_candles(self, symbol: str, interval: str, listener: MarketDataListener) -> bool:
        for row in await self._client.api.watch_ohlcv(symbol, interval):
            try:
                listener.on_bar(to_bar(self._client.exchange, symbol, interval, row, closed=False))
            except ValueError as error:
                listener.on_malformed(symbol, "bars", str(error), str(row))
        return False

    async def _wait_for_ticker(self, symbol: str, listener: MarketDataListener) -> bool:
        row = await self._client.api.watch_ticker(symbol)
        try:
            listener.on_ticker(to_ticker(self._client.exchange, symbol, row, time.time_ns() // 1_000_000))
        except ValueError as error:
            listener.on_malformed(symbol, "ticker", str(error), str(row.get("info")))
        return False
