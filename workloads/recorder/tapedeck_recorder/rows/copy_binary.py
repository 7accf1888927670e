"""Rows of COPY BINARY: a count of fields, then length and bytes of each."""

from __future__ import annotations

import struct
from functools import lru_cache

import msgspec

from tapedeck_common.market import Point, Source, Ticker, Trade
from tapedeck_common.records import RunEquity, RunFill, RunOrigin, RunTrade, RunTrial
from tapedeck_recorder.rows import tables

TS_MIN, TS_MAX = 0, 253_402_300_800_000  # 1970 to the end of 9999, milliseconds UTC
PG_EPOCH_MS = 946_684_800_000  # timestamps count from 2000-01-01
NAME_MAX_BYTES = 255  # four of them fit into a row of an index

_NUMBER = struct.Struct(">id")
_WHOLE = struct.Struct(">iq")


def fields(count: int) -> bytes:
    """What a row begins with."""
    return struct.pack(">h", count)


def text(value: str) -> bytes:
    """A text field. Raises ValueError for what Postgres can't hold."""
    if "\x00" in value:
        raise ValueError(f"got the text {value[:80]!r}, expected one without NUL")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"got the text {value[:80]!r}, expected valid Unicode") from None
    return struct.pack(">i", len(raw)) + raw


@lru_cache(maxsize=65_536)
def name(value: str) -> bytes:
    """A text field that is part of a key. Raises ValueError for one that an index can't hold."""
    field = text(value)
    if len(field) - 4 > NAME_MAX_BYTES:
        raise ValueError(f"got the name {value[:80]!r}…, expected at most {NAME_MAX_BYTES} bytes")
    return field


def check_moment(ts: int) -> int:
    """The same milliseconds UTC. Raises ValueError out of 1970 to 9999."""
    if not TS_MIN <= ts < TS_MAX:
        raise ValueError(f"time: got {ts}, expected milliseconds UTC between 1970 and 9999")
    return ts


def moment(ts: int) -> bytes:
    """A timestamptz field of milliseconds UTC."""
    return _WHOLE.pack(8, (check_moment(ts) - PG_EPOCH_MS) * 1000)


def number(value: float | None) -> bytes:
    """A float8 field, or null."""
    return b"\xff\xff\xff\xff" if value is None else _NUMBER.pack(8, value)


def whole(value: int) -> bytes:
    """An int8 field. Raises ValueError beyond 64 bits."""
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"got {value}, expected an integer of 64 bits")
    return _WHOLE.pack(8, value)


def trade_row(trade: Trade, source: Source) -> bytes:
    """A row of TRADES."""
    return b"".join(
        (
            fields(len(tables.TRADES.columns)),
            name(trade.exchange),
            name(trade.symbol),
            moment(trade.ts),
            name.__wrapped__(trade.id),  # each comes once: not worth remembering
            number(trade.price),
            number(trade.amount),
            name(trade.side),
            name(source),
        )
    )


def ticker_row(ticker: Ticker, source: Source) -> bytes:
    """A row of TICKERS."""
    optional = (ticker.volume24h, ticker.high24h, ticker.low24h, ticker.bid, ticker.ask)
    return b"".join(
        (
            fields(len(tables.TICKERS.columns)),
            name(ticker.exchange),
            name(ticker.symbol),
            moment(ticker.ts),
            number(ticker.price),
            *map(number, optional),
            name(source),
        )
    )


def point_row(point: Point, source: Source) -> bytes:
    """A row of POINTS."""
    return b"".join(
        (
            fields(len(tables.POINTS.columns)),
            *map(name, (point.exchange, point.symbol, point.interval, point.series)),
            moment(point.ts),
            name.__wrapped__(point.id),
            *map(number, (point.value, point.open, point.high, point.low, point.volume)),
            small(point.rev),
            name(source),
        )
    )


def equity_rows(record: RunEquity) -> list[bytes]:
    """Rows of RUN_EQUITY: one an element. Raises ValueError where the arrays differ in length."""
    count = len(record.ts)
    given = {name: getattr(record, name) for name in ("value", "cash", *_BESIDE, "at")}
    if any(len(values) != count for name, values in given.items() if values or name in ("value", "cash")):
        lengths = ", ".join(f"{name} {len(values)}" for name, values in given.items())
        raise ValueError(f"ts has {count} elements; got {lengths}, expected as many")
    beside = [given[name] or [None] * count for name in _BESIDE]
    start = fields(len(tables.RUN_EQUITY.columns)) + name(record.run_id)
    return [
        start + whole(record.seq + at) + moment(ts) + b"".join(map(number, figures))
        for at, ts, *figures in zip(
            record.at or range(count), record.ts, record.value, record.cash, *beside, strict=True
        )
    ]


_BESIDE = ("change_percent", "drawdown_percent", "sharpe")


def small(value: int) -> bytes:
    """An int4 field. Raises ValueError beyond 32 bits."""
    if not -(2**31) <= value < 2**31:
        raise ValueError(f"got {value}, expected an integer of 32 bits")
    return struct.pack(">ii", 4, value)


def document(raw: bytes) -> bytes:
    """A jsonb field of a JSON object. Raises ValueError for what is none, or what Postgres can't hold."""
    if b"\\u0000" in raw or not isinstance(msgspec.json.decode(raw), dict):
        raise ValueError(f"got {raw[:80]!r}, expected an object without NUL")
    return struct.pack(">ib", len(raw) + 1, 1) + raw


def trial_row(trial: RunTrial) -> bytes:
    """A row of RUN_TRIALS."""
    return b"".join(
        (
            fields(len(tables.RUN_TRIALS.columns)),
            name(trial.run_id),
            small(trial.window),
            whole(trial.trial),
            document(bytes(trial.params)),
            moment(trial.start),
            moment(trial.end),
            document(msgspec.json.encode(trial.metrics)),
            number(trial.objective),
            struct.pack(">i?", 1, trial.feasible),
            text(trial.trades_hash),
            text(trial.message),
        )
    )


def fill_row(fill: RunFill) -> bytes:
    """A row of RUN_FILLS."""
    return b"".join(
        (
            fields(len(tables.RUN_FILLS.columns)),
            name(fill.run_id),
            whole(fill.seq),
            name(fill.symbol),
            moment(fill.ts),
            name(fill.side),
            number(fill.size),
            number(fill.price),
        )
    )


def origin_row(origin: RunOrigin) -> bytes:
    """A row of RUN_ORIGINS. Raises ValueError for what is no JSON of Postgres."""
    raw = msgspec.json.encode({key: getattr(origin, key) for key in origin.__struct_fields__ if key != "run_id"})
    if b"\\u0000" in raw:
        raise ValueError("origin: got text with NUL, expected none")
    msgspec.json.decode(raw)  # what is raw in it is JSON too
    return fields(len(tables.RUN_ORIGINS.columns)) + name(origin.run_id) + struct.pack(">ib", len(raw) + 1, 1) + raw


def run_trade_row(trade: RunTrade) -> bytes:
    """A row of RUN_TRADES."""
    return b"".join(
        (
            fields(len(tables.RUN_TRADES.columns)),
            name(trade.run_id),
            whole(trade.seq),
            name(trade.symbol),
            name(trade.side),
            number(trade.size),
            moment(trade.entry_ts),
            number(trade.entry_price),
            moment(trade.exit_ts),
            number(trade.exit_price),
            number(trade.pnl),
            number(trade.pnl_net),
            number(trade.commission),
            text(trade.entry_reason),
            text(trade.exit_reason),
        )
    )
