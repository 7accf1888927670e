"""The exchange's markets: recorded trades, and the bars of those that have happened."""

from __future__ import annotations

import gzip
import heapq
import json
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "examples" / "data" / "binance-trades"
MINUTE = 60_000
Row = tuple[int, str, str, str, str, str]
"""A bar: open time, then open, high, low, close and volume as text."""

Ohlcv = tuple[float, float, float, float, float]
"""The same as numbers."""

INTERVALS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "6h": 21600, "1d": 86400}


@dataclass(frozen=True)
class Tick:
    """One trade. Numbers are text, as on the wire; ``ts`` in milliseconds."""

    id: int
    ts: int
    price: str
    amount: str
    buyer_maker: bool


@dataclass
class Market:
    """One market. The first ``happened`` ticks have happened, the others are in the future."""

    base: str
    quote: str
    ticks: list[Tick]
    happened: int = 0
    aside: list[Tick] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        return f"{self.base}/{self.quote}"

    @property
    def past(self) -> list[Tick]:
        return self.ticks[: self.happened]

    def from_id(self, first: int, limit: int) -> list[Tick]:
        """Past ticks from an id on, the oldest first."""
        at = bisect_left(self.ticks, first, hi=self.happened, key=lambda tick: tick.id)
        return self.ticks[at : min(at + limit, self.happened)]

    def between(self, since: int, until: int) -> list[Tick]:
        """Past ticks of [since, until]."""
        return [tick for tick in self.past if since <= tick.ts <= until]

    def candles(self, seconds: int, since: int, until: int, limit: int) -> list[Row]:
        """The bars of the intervals opened in [since, until], the oldest first."""
        step = seconds * 1000
        found: dict[int, list[Tick]] = {}
        for tick in self.between(since - since % step, until + step):
            found.setdefault(tick.ts // step * step, []).append(tick)
        rows: list[Row] = []
        for ts in sorted(found):
            if since <= ts <= until:
                prices = [Decimal(tick.price) for tick in found[ts]]
                volume = sum((Decimal(tick.amount) for tick in found[ts]), Decimal())
                high, low = max(prices), min(prices)
                rows.append((ts, str(prices[0]), str(high), str(low), str(prices[-1]), str(volume)))
        return rows[:limit]

    def minutes(self) -> dict[int, Ohlcv]:
        """Open, high, low, close and volume of the minutes of all its trades, by open time."""
        whole = Market(self.base, self.quote, self.ticks, happened=len(self.ticks))
        return {row[0]: numbers(row) for row in whole.candles(60, 0, 10**15, 10**6)}


def numbers(row: Row) -> Ohlcv:
    """A bar without its open time."""
    _, opened, high, low, close, volume = row
    return float(opened), float(high), float(low), float(close), float(volume)


def recorded() -> list[Market]:
    """The recorded markets: BTC/USDT and ETH/USDT."""
    return [
        Market("BTC", "USDT", _ticks(SAMPLES / "btcusdt_20240808.jsonl.gz")),
        Market("ETH", "USDT", _ticks(SAMPLES / "ethusdt_20240808.jsonl.gz")),
    ]


def recent_market() -> Market:
    """650 trades at recorded prices within the last ten minutes, in whole minutes that are over, under a new symbol."""
    end = int(time.time() * 1000) // MINUTE * MINUTE - 2 * MINUTE
    some = recorded()[0].ticks[::15]
    start = end - (some[-1].ts - some[0].ts) // MINUTE * MINUTE - MINUTE
    shift = start - some[0].ts
    ticks = [Tick(5000 + n, t.ts + shift, t.price, t.amount, t.buyer_maker) for n, t in enumerate(some)]
    # Digits only: Bitfinex uses names that end in F0 for futures.
    return Market(f"T{uuid.uuid4().int % 10**7}", "USD", ticks)


def sped_up(ticks: Sequence[Tick], speed: int, origin: int, start: int) -> list[Tick]:
    """The trades, ``speed`` times as fast: ``origin`` becomes ``start``, milliseconds UTC."""
    return [replace(tick, ts=start + (tick.ts - origin) // speed) for tick in ticks]


def in_turn(markets: list[Market]) -> Iterator[tuple[Market, Tick]]:
    """The future trades of all markets, by time."""
    rest = [[(tick.ts, n, tick) for tick in market.ticks[market.happened :]] for n, market in enumerate(markets)]
    for _, n, tick in heapq.merge(*rest, key=lambda row: row[:2]):
        yield markets[n], tick


def _ticks(path: Path) -> list[Tick]:
    with gzip.open(path, "rt") as lines:
        messages = [json.loads(line.split(" ", 1)[1])["data"] for line in lines]
    return [Tick(m["t"], m["T"], m["p"], m["q"], m["m"]) for m in messages]
