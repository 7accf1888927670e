"""Listening to an exchange by ccxt.pro."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import ccxt

from tapedeck_feed.exchanges.adapter import Broken, Sink, Stream, Unreachable
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_bar, to_ticker, to_trade
from tapedeck_feed.exchanges.ccxt.errors import meant, wait_of
from tapedeck_feed.exchanges.ccxt.websocket import Tap
from tapedeck_feed.exchanges.tasks import first_failure

LOOK_EVERY = 0.02  # seconds between two looks at a subscription whose trades come by themselves


class CcxtStreams:
    """Its subscriptions, as the adapter's ``watch``."""

    def __init__(self, client: CcxtClient) -> None:
        self._client = client
        self._dial_from = 0.0

    async def watch(self, stream: Stream, sink: Sink) -> None:
        """One task for each subscription of ccxt; the first that breaks ends all."""
        await asyncio.sleep(max(self._dial_from - time.monotonic(), 0.0))
        self._client.api.on_malformed = lambda reason, payload: sink.refuse("", None, reason, payload)
        await first_failure([self._listen(stream, sink, news) for news in self._subscriptions(stream, sink)])

    def _subscriptions(self, stream: Stream, sink: Sink) -> list[Callable[[], Awaitable[bool]]]:
        """Calls that wait for news; True where the trades come by the taps anyway."""
        api = self._client.api
        if stream.kind == "trades":
            take = self._taker(sink)
            for symbol in stream.symbols:
                api.trades[symbol] = Tap(take)

            async def trades(symbols: list[str]) -> bool:
                if api.has.get("watchTradesForSymbols"):
                    await api.watch_trades_for_symbols(symbols)
                else:
                    await api.watch_trades(symbols[0])
                return self._retap(symbols, take)

            together = [list(stream.symbols)] if api.has.get("watchTradesForSymbols") else [[s] for s in stream.symbols]
            return [partial(trades, some) for some in together]
        if stream.kind == "bars":
            return [partial(self._candles, symbol, stream.interval, sink) for symbol in stream.symbols]
        return [partial(self._ticker, symbol, sink) for symbol in stream.symbols]

    async def _listen(self, stream: Stream, sink: Sink, news: Callable[[], Awaitable[bool]]) -> None:
        breaks, worked = self._client.api.breaks, False
        while True:
            try:
                tapped = await news()
            except (ccxt.NetworkError, OSError, aiohttp.ClientError) as error:  # not all is wrapped by ccxt
                if worked:
                    raise Broken(f"{self._client.exchange}: {error}") from None
                wait = wait_of(error)
                self._dial_from = time.monotonic() + (wait or 0.0)  # for what else listens here, too
                raise Unreachable(f"{self._client.exchange}: {error}", wait) from None
            except ccxt.BaseError as error:
                raise meant(error, None) from None
            worked = True
            sink.heard(stream)
            if tapped:
                await asyncio.sleep(LOOK_EVERY)
            if self._client.api.breaks != breaks:  # ccxt would connect anew without a word
                raise Broken(f"{self._client.exchange}: the connection was lost")

    def _taker(self, sink: Sink) -> Callable[[dict[str, Any]], None]:
        exchange, contiguous = self._client.exchange, self._client.traits.contiguous

        def take(row: dict[str, Any]) -> None:
            symbol = row["symbol"]
            try:
                trade = to_trade(exchange, symbol, row, contiguous=contiguous)
            except (ValueError, KeyError) as error:
                sink.refuse(str(symbol), "trades", str(error), str(row.get("info")))
            else:
                sink.trade(trade)

        return take

    def _retap(self, symbols: list[str], take: Callable[[dict[str, Any]], None]) -> bool:
        """Take over what stands in caches that the exchange's class made anew."""
        for symbol in symbols:
            cache = self._client.api.trades.get(symbol)
            if not isinstance(cache, Tap):
                for row in list(cache or ()):
                    take(row)
                self._client.api.trades[symbol] = Tap(take)
        return True

    async def _candles(self, symbol: str, interval: str, sink: Sink) -> bool:
        for row in await self._client.api.watch_ohlcv(symbol, interval):
            try:
                sink.bar(to_bar(self._client.exchange, symbol, interval, row, closed=False))
            except ValueError as error:
                sink.refuse(symbol, "bars", str(error), str(row))
        return False

    async def _ticker(self, symbol: str, sink: Sink) -> bool:
        row = await self._client.api.watch_ticker(symbol)
        try:
            sink.ticker(to_ticker(self._client.exchange, symbol, row, time.time_ns() // 1_000_000))
        except ValueError as error:
            sink.refuse(symbol, "ticker", str(error), str(row.get("info")))
        return False
