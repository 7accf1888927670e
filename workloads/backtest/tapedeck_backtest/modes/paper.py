"""A Feed's market, traded on paper."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.run.session import Session
from tapedeck_backtest.sources.live_stream import LiveStream
from tapedeck_crds.backtest import FeedRef
from tapedeck_crds.base import time_ms


def run(session: Session, strategy: type[Any], params: dict[str, Any], feed: FeedRef) -> None:
    """Play the Feed's bars until ``until``. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    exchange, since = session.settings.feed_exchange, session.settings.since
    if not exchange or not since:
        raise RunFailed("BadSpec", "TAPEDECK_FEED_EXCHANGE, TAPEDECK_SINCE: got nothing, expected both")
    check_intervals(feed.interval, session.spec.data.intervals)
    symbols = list(feed.symbols)
    until = time_ms(feed.until) if feed.until is not None else None
    session.state = "waiting"
    live = LiveStream(session.connections, exchange, symbols, feed.interval, time_ms(since), until, session.idle)
    try:
        live.open()
        session.announce(exchange, symbols, feed.interval)
        session.play_stream(strategy, params, live.steps(), exchange, symbols, feed.interval)
    finally:
        live.close()
