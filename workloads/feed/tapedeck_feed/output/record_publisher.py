"""Publishes market types and ingest records on their topics."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from tapedeck_common import topics
from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Ticker, Trade, series_key
from tapedeck_common.records import Gap, IngestError, Listing
from tapedeck_common.wire import encode
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.stats import FeedStats

TEXT_MAX = 500  # characters of a reason, and of a message, that are kept
REFUSALS_PERIOD = 10.0  # seconds between two publications of what was refused
LATENCY_SAMPLING = 16  # every 16th trade is timed


class RecordPublisher:
    """Publishes a Feed's records and counts acknowledged ones. Every method raises DeliveryFailed or Interrupted."""

    def __init__(self, feed: str, exchange: str, publisher: MarketDataPublisher, stats: FeedStats) -> None:
        self._feed = feed
        self._exchange = exchange
        self._publisher = publisher
        self._stats = stats
        self._trades_sent = 0
        self._refusals_next = 0.0  # time.monotonic
        self._on_trade = publisher.callback(stats.count_trade)
        self._on_timed_trade = publisher.timed_callback(stats.count_timed_trade)
        self._on_bar = publisher.callback(stats.count_bar)
        self._on_ticker = publisher.callback(stats.count_ticker)
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
        key = series_key(bar.exchange, bar.symbol)
        self._publisher.send(topics.MARKET_BARS, key, encode(bar), callback, traceable=bar.closed)

    def publish_ticker(self, ticker: Ticker) -> None:
        """On ``market.tickers``."""
        key = series_key(ticker.exchange, ticker.symbol)
        self._publisher.send(topics.MARKET_TICKERS, key, encode(ticker), self._on_ticker)

    def publish_gap(self, gap: Gap) -> None:
        """On ``market.ingest``: the state of a range of missing bars or trades."""
        self._publisher.send(topics.MARKET_INGEST, series_key(gap.exchange, gap.symbol), encode(gap), self._on_other)

    def publish_listings(self, listings: Iterable[Listing]) -> None:
        """On ``market.ingest``."""
        for listing in listings:
            key = series_key(listing.exchange, listing.symbol)
            self._publisher.send(topics.MARKET_INGEST, key, encode(listing), self._on_other)

    def publish_error(self, symbol: str, place: str, reason: str, payload: str = "") -> None:
        """On ``market.ingest``: something that could not be recovered or is not believed, at once."""
        at, text = time.time_ns() // 1_000_000, reason[:TEXT_MAX]
        self._publish_error(IngestError(self._feed, self._exchange, symbol, place, text, payload[:TEXT_MAX], at))

    def refuse(self, symbol: str, place: str, reason: str, payload: str) -> None:
        """A message or row that cannot be converted: published with its like, see ``poll``."""
        refusals = self._stats.refusals
        refusals.add(symbol, place, place, reason, payload)
        if refusals.is_full:
            self.publish_refusals()

    def poll(self) -> None:
        """Count what was acknowledged meanwhile, and publish what was refused, the first time at once."""
        now = time.monotonic()
        if now >= self._refusals_next and self.publish_refusals():
            self._refusals_next = now + REFUSALS_PERIOD
        self._publisher.poll(0)

    def flush(self) -> None:
        """Publish what was refused, and wait until every record is acknowledged."""
        self.publish_refusals()
        self._publisher.flush()

    def publish_refusals(self) -> bool:
        """Publish what was refused since the last call; returns whether there was anything."""
        refusals = self._stats.refusals.take()
        for refusal in refusals:
            log.warning("refused", symbol=refusal.symbol, reason=refusal.reason, rows=refusal.rows)
            self._publish_error(refusal.record(self._feed, self._exchange))
        return bool(refusals)

    def _publish_error(self, record: IngestError) -> None:
        callback = self._publisher.callback(partial(self._stats.count_errors, record.rows))
        self._publisher.send(topics.MARKET_INGEST, series_key(self._exchange, record.symbol), encode(record), callback)


def _ignore() -> None:
    return
