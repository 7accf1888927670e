"""A run over a live Feed's market: paper trading."""

from __future__ import annotations

from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Outcome
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.stream import run_stream
from tapedeck_backtest.sources.live_stream import LiveStream
from tapedeck_crds.backtest import FeedRef
from tapedeck_crds.base import time_ms


def run(context: RunContext, feed: FeedRef) -> Outcome:
    """Run the strategy over the Feed's bars until ``until``.

    Raises RunFailed, StrategyKilled, Interrupted, Unavailable and psycopg.Error.
    """
    exchange, since = context.settings.feed_exchange, context.settings.since
    if not exchange or not since:
        raise RunFailed(
            "BadSpec", f"TAPEDECK_FEED_EXCHANGE, TAPEDECK_SINCE: got {exchange!r} and {since!r}, expected both"
        )
    check_intervals(feed.interval, context.spec.data.intervals)
    symbols = list(feed.symbols)
    until = time_ms(feed.until) if feed.until is not None else None
    context.progress.state = "waiting"
    live = LiveStream(
        context.connections, exchange, symbols, feed.interval, time_ms(since), until, context.process.idle
    )
    try:
        live.open()
        sessions = context.find_sessions(exchange, symbols)
        context.publish_started(exchange, symbols, feed.interval)
        limits = Limits(time_ms(since), until)
        return run_stream(context, live.blocks(), exchange, symbols, feed.interval, sessions, lambda: limits)
    finally:
        live.close()
