"""Rows and columns of Binance's public data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from layouts.market import DAY, HOUR, MINUTE, TRADES, Bar, Trade, aggregated, ms
from layouts.write import eight, lines, utc

LENGTHS = {"1m": MINUTE, "1h": HOUR, "8h": 8 * HOUR, "1d": DAY, "3d": 3 * DAY, "1w": 7 * DAY}
KLINE = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
KLINE += "taker_buy_quote_volume,ignore"
BY_KLINE: dict[str, Any] = {"columns": KLINE.split(",")}
TRADE = "id,price,qty,quote_qty,time,is_buyer_maker"
BY_TRADE: dict[str, Any] = {"columns": [*TRADE.split(","), "is_best_match"]}
AGGREGATE = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
BY_AGGREGATE: dict[str, Any] = {"columns": [*AGGREGATE.split(","), "is_best_match"]}


def last_ms(ts: int, interval: str) -> int:
    return (ms(utc(ts + 32 * DAY, "%Y-%m-01")) if interval == "1M" else ts + LENGTHS[interval]) - 1


def klines(rows: Sequence[Bar], interval: str = "1m", us: bool = False) -> list[list[Any]]:
    factor, rest = 1000 if us else 1, (3, "0.00000000", "0.00000000", 0)
    ends = [(last_ms(b.ts, interval) + 1) * factor - 1 for b in rows]
    return [
        [b.ts * factor, *map(eight, b[1:]), end, eight(b.volume * b.close), *rest]
        for b, end in zip(rows, ends, strict=True)
    ]


def spot(rows: Sequence[Trade], us: bool = False) -> list[list[Any]]:
    return [
        [
            t.id,
            *map(eight, (t.price, t.amount, t.price * t.amount)),
            t.us // (1 if us else 1000),
            t.side == "sell",
            True,
        ]
        for t in rows
    ]


def as_futures(rows: Iterable[list[Any]], header: str) -> str:
    """The same rows without the last cell, true and false in small letters, below a header."""
    return lines(([*row[:-2], str(row[-2]).lower()] for row in rows), header)


def aggregates() -> list[list[Any]]:
    return [
        [t.id, eight(t.price), eight(t.amount), first, last, t.us // 1000, t.side == "sell", True]
        for t, first, last in aggregated(TRADES)
    ]
