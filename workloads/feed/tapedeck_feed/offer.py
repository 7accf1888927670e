"""``python -m tapedeck_feed.offer``: what the exchange of a Feed's spec has, and how large the spec's backfill is.

Prints JSON, or exits as a pod would, with the reason on standard error. Nothing is downloaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from tapedeck_common.settings import PodSettings
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.feed import FeedSpec
from tapedeck_feed.backfill.estimate import Estimate, estimate
from tapedeck_feed.backfill.options import intervals_of, range_of
from tapedeck_feed.exchanges.adapter import ExchangeMarkets
from tapedeck_feed.exchanges.lifecycle import CLOSE_TIMEOUT
from tapedeck_feed.exchanges.registry import create_adapter
from tapedeck_feed.exchanges.retry import with_retries


def describe(spec: FeedSpec, markets: ExchangeMarkets, now: int) -> dict[str, Any]:
    """The markets with their currencies and steps, and the size of the spec's backfill up to ``now``; None without."""
    listings = {each.symbol: each for each in markets.listings}
    size: Estimate | None = None
    if spec.backfill is not None:
        intervals = intervals_of(spec, spec.backfill, markets)
        size = estimate(markets, intervals, range_of(spec.backfill, now), now, spec.backfill.shards)
    return {
        "exchange": spec.exchange,
        "intervals": sorted(markets.bar_intervals),
        "barsPerRequest": markets.page,
        "secondsPerRequest": markets.request_seconds,
        "symbols": [
            {
                "symbol": symbol,
                "base": listings[symbol].base if symbol in listings else symbol.partition("/")[0],
                "quote": listings[symbol].quote if symbol in listings else symbol.partition("/")[2].partition(":")[0],
                "priceStep": listings[symbol].price_step if symbol in listings else None,
                "amountStep": listings[symbol].amount_step if symbol in listings else None,
            }
            for symbol in markets.symbols
        ],
        "estimate": None if size is None else size._asdict(),
    }


async def load(settings: PodSettings, spec: FeedSpec) -> ExchangeMarkets:
    """The markets that the spec's symbols select. Raises InvalidFeedInput, ExchangeUnreachable and others."""
    adapter = create_adapter(spec.exchange or "", {}, spec.endpoints, settings.endpoints)
    try:
        return await with_retries(lambda: adapter.load_markets(spec.symbols or ("*",)))
    finally:
        with contextlib.suppress(Exception):  # a client's error while it closes changes nothing
            await asyncio.wait_for(adapter.close(), CLOSE_TIMEOUT)


def main() -> int:
    """Prints the answer; returns the exit code."""
    settings = PodSettings()
    try:
        spec = settings.parse_spec(FeedSpec)
        markets = asyncio.run(load(settings, spec))
        print(json.dumps(describe(spec, markets, time.time_ns() // 1_000_000)))
    except TapedeckError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
