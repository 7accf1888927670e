"""Encoding records for COPY BINARY: a row is its number of fields, then each field's byte length and bytes.

The format: https://www.postgresql.org/docs/current/sql-copy.html, section "Binary Format".
"""

from __future__ import annotations

import struct
from functools import lru_cache

import msgspec

from tapedeck_common.market import Point, RecordSource, Ticker, Trade, market_time_end
from tapedeck_common.records import RunEquity, RunFill, RunOrigin, RunTrade, RunTrial
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.text import printable, quoted
from tapedeck_recorder.rows import tables

TS_MIN, TS_MAX = 0, 253_402_300_800_000  # 1970 to the end of 9999, milliseconds UTC
PG_EPOCH_MS = 946_684_800_000  # 2000-01-01, where Postgres timestamps start
REV_MAX = 2**30  # of the 2**31 that the column holds: a higher one can always follow
NAME_MAX_BYTES = 255  # a primary key has up to four names; an index row holds 2,704 bytes

_OPTIONAL_FIGURES = ("change_percent", "drawdown_percent", "sharpe")  # columns of run_equity that may be NULL
_FLOAT8 = struct.Struct(">id")
_INT8 = struct.Struct(">iq")


def row_header(count: int) -> bytes:
    """The number of fields, which starts a row."""
    return struct.pack(">h", count)


def text_field(value: str) -> bytes:
    """A text field. Raises InvalidInput for text with NUL or lone surrogates, which Postgres can't store."""
    if "\x00" in value:
        raise InvalidInput(f"text: got {value[:80]!r}, expected no NUL character")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"text: got {value[:80]!r}, expected valid Unicode") from None
    return struct.pack(">i", len(raw)) + raw


def shown_field(value: str) -> bytes:
    """A text field of text for people, which a terminal or a page may show. Raises InvalidInput as ``text_field``."""
    field = text_field(value)
    return field if value.isprintable() else text_field(printable(value, keep="\n\t"))


@lru_cache(maxsize=65_536)
def key_field(value: str) -> bytes:
    """A text field of a primary key. Raises InvalidInput where it is too long for the index, or is not visible."""
    field = text_field(value)
    if len(field) - 4 > NAME_MAX_BYTES:
        raise InvalidInput(f"name: got {value[:80]!r}…, expected at most {NAME_MAX_BYTES} bytes")
    if not value.isprintable():
        raise InvalidInput(f"name: got {quoted(value)}, expected no control characters")
    return field


@lru_cache(maxsize=65_536)
def name_field(value: str) -> bytes:
    """As ``key_field``, for the name of a market, a series or a run, which is not empty."""
    if not value:
        raise InvalidInput("name: got an empty one, expected that of an exchange, a symbol, a series or a run")
    return key_field.__wrapped__(value)


def checked_timestamp(ts: int) -> int:
    """Returns ``ts``, milliseconds UTC. Raises InvalidInput outside 1970 to 9999."""
    if not TS_MIN <= ts < TS_MAX:
        raise InvalidInput(f"time: got {ts}, expected milliseconds UTC between 1970 and 9999")
    return ts


def checked_market_time(ts: int, source: RecordSource) -> int:
    """Returns ``ts``, milliseconds UTC. Raises InvalidInput beyond the end of next year, unless a replay made it."""
    if not TS_MIN <= ts < time_end(source):
        raise InvalidInput(f"time: got {ts}, expected milliseconds UTC from 1970 to the end of next year")
    return ts


def time_end(source: RecordSource) -> int:
    """The time, milliseconds UTC, before which a record of this source must be."""
    return TS_MAX if source == "replay" else market_time_end()


def timestamp_field(ts: int) -> bytes:
    """A timestamptz field from milliseconds UTC."""
    return _INT8.pack(8, (checked_timestamp(ts) - PG_EPOCH_MS) * 1000)


def float8_field(value: float | None) -> bytes:
    """A float8 field; None is NULL."""
    return b"\xff\xff\xff\xff" if value is None else _FLOAT8.pack(8, value)


def int8_field(value: int) -> bytes:
    """An int8 field. Raises InvalidInput for values outside 64 bits."""
    if not -(2**63) <= value < 2**63:
        raise InvalidInput(f"integer: got {value}, expected one of 64 bits")
    return _INT8.pack(8, value)


def int4_field(value: int) -> bytes:
    """An int4 field. Raises InvalidInput for values outside 32 bits."""
    if not -(2**31) <= value < 2**31:
        raise InvalidInput(f"integer: got {value}, expected one of 32 bits")
    return struct.pack(">ii", 4, value)


def rev_field(rev: int) -> bytes:
    """An int4 field with a revision. Raises InvalidInput unless many later corrections are possible."""
    if not 0 <= rev <= REV_MAX:
        raise InvalidInput(f"rev: got {rev}, expected an integer from 0 to {REV_MAX}")
    return int4_field(rev)


def jsonb_field(raw: bytes) -> bytes:
    """A jsonb field. Raises InvalidInput unless it is a JSON object without NUL, which Postgres can't store."""
    if b"\\u0000" in raw or not isinstance(msgspec.json.decode(raw), dict):
        raise InvalidInput(f"JSON: got {raw[:80]!r}, expected an object without NUL")
    return struct.pack(">ib", len(raw) + 1, 1) + raw


def trade_row(trade: Trade, source: RecordSource) -> bytes:
    """A row of TRADES."""
    return b"".join(
        (
            row_header(len(tables.TRADES.columns)),
            name_field(trade.exchange),
            name_field(trade.symbol),
            timestamp_field(checked_market_time(trade.ts, source)),
            key_field.__wrapped__(trade.id),  # ids are unique: caching them would only evict names
            float8_field(trade.price),
            float8_field(trade.amount),
            key_field(trade.side),
            int4_field(trade.seq),
            key_field(source),
        )
    )


def ticker_row(ticker: Ticker, source: RecordSource) -> bytes:
    """A row of TICKERS."""
    optional = (ticker.volume24h, ticker.high24h, ticker.low24h, ticker.bid, ticker.ask)
    return b"".join(
        (
            row_header(len(tables.TICKERS.columns)),
            name_field(ticker.exchange),
            name_field(ticker.symbol),
            timestamp_field(checked_market_time(ticker.ts, source)),
            float8_field(ticker.price),
            *map(float8_field, optional),
            key_field(source),
        )
    )


def point_row(point: Point, source: RecordSource) -> bytes:
    """A row of POINTS."""
    return b"".join(
        (
            row_header(len(tables.POINTS.columns)),
            name_field(point.exchange),
            name_field(point.symbol),
            key_field(point.interval),
            name_field(point.series),
            timestamp_field(checked_market_time(point.ts, source)),
            key_field.__wrapped__(point.id),
            *map(float8_field, (point.value, point.open, point.high, point.low, point.volume)),
            rev_field(point.rev),
            int4_field(point.seq),
            key_field(source),
        )
    )


def equity_rows(record: RunEquity) -> list[bytes]:
    """Rows of RUN_EQUITY, one per element of the arrays. Raises InvalidInput where their lengths differ."""
    count = len(record.ts)
    arrays = {name: getattr(record, name) for name in ("value", "cash", *_OPTIONAL_FIGURES, "at")}
    if any(len(values) != count for name, values in arrays.items() if values or name in ("value", "cash")):
        lengths = ", ".join(f"{name} {len(values)}" for name, values in arrays.items())
        raise InvalidInput(f"ts has {count} elements; got {lengths}, expected {count} elements each")
    optional = [arrays[name] or [None] * count for name in _OPTIONAL_FIGURES]
    start = row_header(len(tables.RUN_EQUITY.columns)) + name_field(record.run_id)
    return [
        start + int8_field(record.seq + at) + timestamp_field(ts) + b"".join(map(float8_field, figures))
        for at, ts, *figures in zip(
            record.at or range(count), record.ts, record.value, record.cash, *optional, strict=True
        )
    ]


def trial_row(trial: RunTrial) -> bytes:
    """A row of RUN_TRIALS."""
    return b"".join(
        (
            row_header(len(tables.RUN_TRIALS.columns)),
            name_field(trial.run_id),
            int4_field(trial.window),
            int8_field(trial.trial),
            jsonb_field(bytes(trial.params)),
            timestamp_field(trial.start),
            timestamp_field(trial.end),
            jsonb_field(msgspec.json.encode(trial.metrics)),
            float8_field(trial.objective),
            struct.pack(">i?", 1, trial.feasible),
            text_field(trial.trades_hash),
            shown_field(trial.message),
        )
    )


def fill_row(fill: RunFill) -> bytes:
    """A row of RUN_FILLS."""
    return b"".join(
        (
            row_header(len(tables.RUN_FILLS.columns)),
            name_field(fill.run_id),
            int8_field(fill.seq),
            key_field(fill.symbol),
            timestamp_field(fill.ts),
            key_field(fill.side),
            float8_field(fill.size),
            float8_field(fill.price),
        )
    )


def origin_row(origin: RunOrigin) -> bytes:
    """A row of RUN_ORIGINS. Raises InvalidInput for JSON that Postgres can't store."""
    raw = msgspec.json.encode({key: getattr(origin, key) for key in origin.__struct_fields__ if key != "run_id"})
    if b"\\u0000" in raw:
        raise InvalidInput("origin: got text with NUL, expected no NUL character")
    msgspec.json.decode(raw)  # validates the raw JSON inside it
    return (
        row_header(len(tables.RUN_ORIGINS.columns))
        + name_field(origin.run_id)
        + struct.pack(">ib", len(raw) + 1, 1)
        + raw
    )


def run_trade_row(trade: RunTrade) -> bytes:
    """A row of RUN_TRADES."""
    return b"".join(
        (
            row_header(len(tables.RUN_TRADES.columns)),
            name_field(trade.run_id),
            int8_field(trade.seq),
            key_field(trade.symbol),
            key_field(trade.side),
            float8_field(trade.size),
            timestamp_field(trade.entry_ts),
            float8_field(trade.entry_price),
            timestamp_field(trade.exit_ts),
            float8_field(trade.exit_price),
            float8_field(trade.pnl),
            float8_field(trade.pnl_net),
            float8_field(trade.commission),
            shown_field(trade.entry_reason),
            shown_field(trade.exit_reason),
        )
    )
