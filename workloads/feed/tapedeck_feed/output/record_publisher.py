"""Publishes market types and ingest records on their topics."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tapedeck_common import topics
from tapedeck_common.market import Bar, Ticker, Trade, series_key
from tapedeck_common.records import Gap, IngestError, Listing
from tapedeck_common.wire import encode
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.stats import FeedStats

PAYLOAD_MAX = 500  # characters of an invalid message that are kept
LATENCY_SAMPLING = 16  # every 16th trade is timed


class RecordPublisher:
    """Publishes a Feed's records and counts acknowledged ones. Every method raises DeliveryFailed or Interrupted."""

    def __init__(self, feed: str, exchange: str, publisher: MarketDataPublisher, stats: FeedStats) -> None:
        self._feed = feed
        self._exchange = exchange
        self._publisher = publisher
        self._stats = stats
        self._trades_sent = 0
        self._on_trade = publisher.callback(stats.count_trade)
        self._on_timed_trade = publisher.timed_callback(stats.count_timed_trade)
        self._on_bar = publisher.callback(stats.count_bar)
        self._on_ticker = publisher.callback(stats.count_ticker)
        self._on_error = publisher.callback(stats.count_error)
        self._on_other = publisher.callback(_ignore)

    def publish_trade(self, trade: Trade) -> None:
        """On ``market.trades``."""
        self._trades_sent += 1
        callback = self._on_trade if self._trades_sent % LATENCY_SAMPLING else self._on_timed_trade
        key = f"{trade.exchange}:{trade.symbol}"
        self._publisher.send(topics.MARKET_TRADES, key, encode(trade), callback)

    def publish_bar(self, bar: Bar) -> None:
        """On ``market.bars``. Only closed bars are counted."""
        callback = self._on_bar if bar.closed else self._on_other
        self._publisher.send(topics.MARKET_BARS, series_key(bar.exchange, bar.symbol), encode(bar), callback)

    def publish_ticker(self, ticker: Ticker) -> None:
        """On ``market.tickers``."""
        key = series_key(ticker.exchange, ticker.symbol)
        self._publisher.send(topics.MARKET_TICKERS, key, encode(ticker), self._on_ticker)

    def publish_gap(self, gap: Gap) -> None:
        """On ``market.ingest``: the state of a range of missing bars."""
        self._publisher.send(topics.MARKET_INGEST, series_key(gap.exchange, gap.symbol), encode(gap), self._on_other)

    def publish_listings(self, listings: Iterable[Listing]) -> None:
        """On ``market.ingest``."""
        for listing in listings:
            key = series_key(listing.exchange, listing.symbol)
            self._publisher.send(topics.MARKET_INGEST, key, encode(listing), self._on_other)

    def publish_error(self, symbol: str, place: str, reason: str, payload: str) -> None:
        """On ``market.ingest``: something that could not be converted or recovered. ``place`` says what it is of."""
        at = time.time_ns() // 1_000_000
        record = IngestError(self._feed, self._exchange, symbol, place, reason[:PAYLOAD_MAX], payload[:PAYLOAD_MAX], at)
        key = series_key(self._exchange, symbol)
        self._publisher.send(topics.MARKET_INGEST, key, encode(record), self._on_error)

    def poll(self) -> None:
        """Count what was acknowledged meanwhile."""
        self._publisher.poll(0)

    def flush(self) -> None:
        """Wait until every record is acknowledged."""
        self._publisher.flush()


def _ignore() -> None:
    return
