"""From market types to records on the log."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Literal

from tapedeck_common import topics
from tapedeck_common.market import Bar, Ticker, Trade, series_key
from tapedeck_common.records import Gap, IngestError, Listing
from tapedeck_common.wire import encode
from tapedeck_feed.output.publisher import Publisher
from tapedeck_feed.output.stats import LiveTally

PAYLOAD_MAX = 500  # characters of a refused message that are kept
SAMPLED = 16  # one trade in so many is timed


class Outlet:
    """Puts everything on its topic, counting what the broker took. Methods raise Undelivered or Interrupted."""

    def __init__(self, feed: str, exchange: str, publisher: Publisher, tally: LiveTally) -> None:
        self._feed = feed
        self._exchange = exchange
        self._publisher = publisher
        self._tally = tally
        self._sent = 0
        self._trade_taken = publisher.delivery(self._count_trade)
        self._trade_timed = publisher.timed(self._timed_trade)
        self._bar_taken, self._ticker_taken, self._error_taken = (
            publisher.delivery(partial(self._count, what)) for what in ("bars", "tickers", "errors")
        )
        self._taken = publisher.delivery(_nothing)

    def trade(self, trade: Trade) -> None:
        """A trade, timed now and then."""
        self._sent += 1
        delivered = self._trade_taken if self._sent % SAMPLED else self._trade_timed
        key = f"{trade.exchange}:{trade.symbol}"
        self._publisher.send(topics.MARKET_TRADES, key, encode(trade), delivered)

    def bar(self, bar: Bar) -> None:
        """A bar; only closed ones count."""
        delivered = self._bar_taken if bar.closed else self._taken
        self._publisher.send(topics.MARKET_BARS, series_key(bar.exchange, bar.symbol), encode(bar), delivered)

    def ticker(self, ticker: Ticker) -> None:
        """The state of a market."""
        key = series_key(ticker.exchange, ticker.symbol)
        self._publisher.send(topics.MARKET_TICKERS, key, encode(ticker), self._ticker_taken)

    def gap(self, gap: Gap) -> None:
        """What became of a range of missing bars."""
        self._publisher.send(topics.MARKET_INGEST, series_key(gap.exchange, gap.symbol), encode(gap), self._taken)

    def listed(self, listings: Iterable[Listing]) -> None:
        """What the exchange says of some symbols."""
        for one in listings:
            key = series_key(one.exchange, one.symbol)
            self._publisher.send(topics.MARKET_INGEST, key, encode(one), self._taken)

    def error(self, symbol: str, place: str, reason: str, payload: str) -> None:
        """Something that could not be taken, or had."""
        at = time.time_ns() // 1_000_000
        record = IngestError(self._feed, self._exchange, symbol, place, reason[:PAYLOAD_MAX], payload[:PAYLOAD_MAX], at)
        key = series_key(self._exchange, symbol)
        self._publisher.send(topics.MARKET_INGEST, key, encode(record), self._error_taken)

    def look(self) -> None:
        """Hear what was delivered."""
        self._publisher.look(0)

    def drain(self) -> None:
        """Wait until all is delivered."""
        self._publisher.drain()

    def _count(self, what: Literal["bars", "tickers", "errors"]) -> None:
        setattr(self._tally, what, getattr(self._tally, what) + 1)

    def _count_trade(self) -> None:
        self._tally.trades += 1

    def _timed_trade(self, seconds: float | None) -> None:
        self._tally.trades += 1
        if seconds is not None:
            self._tally.took(seconds)


def _nothing() -> None:
    return
