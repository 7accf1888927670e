"""The tables that rows are copied into: columns, how a conflict ends, and rows in Postgres' binary form.

A row of COPY BINARY is a count of fields, then length and bytes of each. What rows of one series share
is packed once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from tapedeck.market import Bar, Source, Ticker, Trade
from tapedeck.records import RunEquity, RunFill, RunTrade

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
TS_MIN, TS_MAX = 0, 253_402_300_800_000  # 1970 to the end of 9999, milliseconds UTC
_PG_EPOCH_MS = 946_684_800_000

_BAR = struct.Struct(">iqidididididii")
_NUMBER = struct.Struct(">id")
_TIME = struct.Struct(">iq")


@dataclass(frozen=True)
class Table:
    """``merge`` is what follows ON CONFLICT."""

    name: str
    columns: tuple[str, ...]
    merge: str = "DO NOTHING"


BARS = Table(
    "bars",
    ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source"),
    "(exchange, symbol, interval, ts) DO UPDATE SET open = EXCLUDED.open, high = EXCLUDED.high, low = EXCLUDED.low, "
    "close = EXCLUDED.close, volume = EXCLUDED.volume, rev = EXCLUDED.rev, source = EXCLUDED.source "
    "WHERE (EXCLUDED.rev, EXCLUDED.source = 'live') > (bars.rev, bars.source = 'live')",
)
TRADES = Table("trades", ("exchange", "symbol", "ts", "id", "price", "amount", "side", "source"))
TICKERS = Table(
    "tickers", ("exchange", "symbol", "ts", "price", "volume24h", "high24h", "low24h", "bid", "ask", "source")
)
RUN_EQUITY = Table("run_equity", ("run_id", "seq", "ts", "value", "cash"))
RUN_FILLS = Table("run_fills", ("run_id", "seq", "symbol", "ts", "side", "size", "price"))
RUN_TRADES = Table(
    "run_trades",
    (
        "run_id", "seq", "symbol", "side", "size", "entry_ts", "entry_price", "exit_ts", "exit_price", "pnl", "pnl_net",
        "commission",
    ),
)  # fmt: skip


def text(value: str) -> bytes:
    """A text field. Raises ValueError for what Postgres can't hold."""
    if "\x00" in value:
        raise ValueError(f"got the text {value!r}, expected one without NUL")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"got the text {value!r}, expected valid Unicode") from None
    return struct.pack(">i", len(raw)) + raw


def moment(ts: int) -> bytes:
    """A timestamptz field of milliseconds UTC. Raises ValueError out of 1970 to 9999."""
    if not TS_MIN <= ts < TS_MAX:
        raise ValueError(f"ts: got {ts}, expected milliseconds UTC between 1970 and 9999")
    return _TIME.pack(8, (ts - _PG_EPOCH_MS) * 1000)


def number(value: float | None) -> bytes:
    """A float8 field, or null."""
    return b"\xff\xff\xff\xff" if value is None else _NUMBER.pack(8, value)


def whole(value: int) -> bytes:
    """An int8 field."""
    return _TIME.pack(8, value)


@lru_cache(maxsize=65_536)
def _series(exchange: str, symbol: str, interval: str) -> bytes:
    return struct.pack(">h", len(BARS.columns)) + text(exchange) + text(symbol) + text(interval)


@lru_cache(maxsize=65_536)
def _market(columns: int, exchange: str, symbol: str) -> bytes:
    return struct.pack(">h", columns) + text(exchange) + text(symbol)


@lru_cache(maxsize=64)
def _word(value: str) -> bytes:
    return text(value)


def bar_row(bar: Bar, source: Source) -> bytes:
    """A row of BARS. Raises ValueError for what the table can't hold."""
    ts = bar.ts
    if not (TS_MIN <= ts < TS_MAX and -1 < bar.rev < 2**31):
        raise ValueError(f"ts, rev: got {ts}, {bar.rev}, expected milliseconds UTC from 1970 and a small number")
    return (
        _series(bar.exchange, bar.symbol, bar.interval)
        + _BAR.pack(
            8, (ts - _PG_EPOCH_MS) * 1000, 8, bar.open, 8, bar.high, 8, bar.low, 8, bar.close, 8, bar.volume, 4, bar.rev
        )
        + _word(source)
    )  # fmt: skip


def trade_row(trade: Trade, source: Source) -> bytes:
    """A row of TRADES."""
    return b"".join(
        (
            _market(len(TRADES.columns), trade.exchange, trade.symbol),
            moment(trade.ts),
            text(trade.id),
            number(trade.price),
            number(trade.amount),
            _word(trade.side),
            _word(source),
        )
    )


def ticker_row(ticker: Ticker, source: Source) -> bytes:
    """A row of TICKERS."""
    optional = (ticker.volume24h, ticker.high24h, ticker.low24h, ticker.bid, ticker.ask)
    return b"".join(
        (
            _market(len(TICKERS.columns), ticker.exchange, ticker.symbol),
            moment(ticker.ts),
            number(ticker.price),
            *map(number, optional),
            _word(source),
        )
    )


def equity_rows(record: RunEquity) -> list[bytes]:
    """Rows of RUN_EQUITY: one an element. Raises ValueError where the arrays differ in length."""
    if not len(record.ts) == len(record.value) == len(record.cash):
        raise ValueError(f"ts, value, cash: got {len(record.ts)}, {len(record.value)}, {len(record.cash)} elements")
    start = struct.pack(">h", len(RUN_EQUITY.columns)) + text(record.run_id)
    return [
        start + whole(record.seq + i) + moment(ts) + number(value) + number(cash)
        for i, (ts, value, cash) in enumerate(zip(record.ts, record.value, record.cash, strict=True))
    ]


def fill_row(fill: RunFill) -> bytes:
    """A row of RUN_FILLS."""
    return b"".join(
        (
            struct.pack(">h", len(RUN_FILLS.columns)),
            text(fill.run_id),
            whole(fill.seq),
            text(fill.symbol),
            moment(fill.ts),
            _word(fill.side),
            number(fill.size),
            number(fill.price),
        )
    )


def run_trade_row(trade: RunTrade) -> bytes:
    """A row of RUN_TRADES."""
    return b"".join(
        (
            struct.pack(">h", len(RUN_TRADES.columns)),
            text(trade.run_id),
            whole(trade.seq),
            text(trade.symbol),
            _word(trade.side),
            number(trade.size),
            moment(trade.entry_ts),
            number(trade.entry_price),
            moment(trade.exit_ts),
            number(trade.exit_price),
            number(trade.pnl),
            number(trade.pnl_net),
            number(trade.commission),
        )
    )
