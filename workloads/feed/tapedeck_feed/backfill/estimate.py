"""How large a backfill is: bars, requests, and the time that they take at the exchange's rate limit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tapedeck_feed.backfill.ranges import Range, slices_of_shard
from tapedeck_feed.exchanges.adapter import ExchangeMarkets


class Estimate(NamedTuple):
    """The size of a download of which the store has nothing yet."""

    bars: int
    requests: int
    seconds: float


def estimate(
    markets: ExchangeMarkets, intervals: Sequence[str], whole: Range, closed_until: int, shards: int
) -> Estimate:
    """The size of a backfill of every market, divided into the parts of its pods, and those into pages.

    A page takes one request for each ``bars_per_request`` of its bars. Gaps that are requested again are not counted.
    """
    bars = requests = 0
    for shard in range(shards):
        for each in slices_of_shard(markets.symbols, intervals, whole, closed_until, shard, shards):
            count = each.bars_in(each.start, each.end)
            pages, rest = divmod(count, markets.page)
            per_request = markets.bars_per_request.get(each.interval, markets.page)
            bars += count
            requests += pages * _parts(markets.page, per_request) + _parts(rest, per_request)
    return Estimate(bars, requests, requests * markets.request_seconds)


def _parts(count: int, size: int) -> int:
    return -(-count // size)
