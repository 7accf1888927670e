"""What a spec asks of a backfill, checked against what the exchange has. Pure."""

from __future__ import annotations

from tapedeck_crds.backfill import Backfill
from tapedeck_crds.base import time_ms
from tapedeck_crds.feed import FeedSpec
from tapedeck_feed.backfill.ranges import Range
from tapedeck_feed.exchanges.adapter import ExchangeMarkets
from tapedeck_feed.exchanges.errors import InvalidFeedInput


def range_of(backfill: Backfill, until: int) -> Range:
    """The open times of a backfill up to ``until``, milliseconds UTC."""
    return time_ms(backfill.from_), until if backfill.to is None else min(time_ms(backfill.to), until)


def intervals_of(spec: FeedSpec, backfill: Backfill, markets: ExchangeMarkets) -> tuple[str, ...]:
    """The intervals to download. Raises InvalidFeedInput where the exchange lacks one."""
    intervals = tuple(backfill.intervals or spec.intervals or ("1m",))
    if unsupported := [interval for interval in intervals if interval not in markets.bar_intervals]:
        supported = ", ".join(sorted(markets.bar_intervals)) or "none"
        raise InvalidFeedInput(
            "UnsupportedInterval",
            f"backfill.intervals: got {', '.join(unsupported)}, for which {spec.exchange} has no bars; "
            f"expected some of: {supported}",
        )
    return intervals
