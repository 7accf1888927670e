"""From messages to a batch: rows ready to be copied, records to be merged one by one, and offsets."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
from confluent_kafka import Message

from tapedeck import records, topics, wire
from tapedeck.market import Bar, Ticker, Trade, bar_problem, trade_problem
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_recorder import tables
from tapedeck_recorder.tables import Table

PAYLOAD_MAX = 4_000
REASON_MAX = 1_000
_INFINITY = float("inf")

Partition: TypeAlias = tuple[str, int]
# (exchange, symbol, interval, ts) of a bar: what makes two rows one.
BarKey: TypeAlias = tuple[str, str, str, int]


@dataclass(frozen=True)
class Fault:
    """A row of ingest_errors."""

    topic: str
    partition: int
    offset: int
    at: int
    reason: str
    payload: str
    feed: str = ""
    exchange: str = ""
    symbol: str = ""
    place: str = ""


@dataclass
class Batch:
    """What one transaction writes. ``next_offsets`` is where each partition goes on."""

    rows: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    bars: list[tuple[Bar, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    gaps: list[records.Gap] = field(default_factory=list)
    started: list[records.RunStarted] = field(default_factory=list)
    ended: list[records.RunEnded] = field(default_factory=list)
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    dropped: int = 0
    messages: int = 0


def build(messages: Sequence[Message]) -> Batch:
    """The batch of some messages; none of them makes it fail."""
    batch = Batch(messages=len(messages))
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None:
            raise TypeError("a message without a place")
        by_topic[topic].append(message)
        batch.next_offsets[topic, partition] = offset + 1
    for topic, some in by_topic.items():
        if topic == topics.MARKET_BARS:
            _take_bars(batch, some)
        else:
            for message in some:
                _take(batch, message, _TAKERS[topic])
    return batch


def _take_bars(batch: Batch, messages: list[Message]) -> None:
    """The many: decoded at once where all are sound."""
    try:
        values = [message.value() for message in messages]
        bars = wire.decode_bars(b"[" + b",".join(values) + b"]")  # type: ignore[arg-type]
        if len(bars) != len(messages):
            raise ValueError("a value held more than one bar")
    except (ValueError, TypeError):
        for message in messages:
            _take(batch, message, _bar)
        return
    rows, kept = batch.rows[tables.BARS.name], batch.bars
    for message, bar in zip(messages, bars, strict=True):
        try:
            origin = wire.origin_of(message.headers())  # type: ignore[arg-type]
            if origin.source == "replay" or not bar.closed:
                batch.dropped += 1
                continue
            _check_bar(bar)
            rows.append(tables.bar_row(bar, origin.source))
            kept.append((bar, origin.source))
        except ValueError as error:
            _fault(batch, message, str(error))


def _check_bar(bar: Bar) -> None:
    # The same as bar_problem, which finds the words for it.
    low, high = bar.low, bar.high
    if (
        0 < low <= bar.open <= high < _INFINITY
        and low <= bar.close <= high
        and 0 <= bar.volume < _INFINITY
        and bar.interval in INTERVAL_MS
        and bar.ts % INTERVAL_MS[bar.interval] == 0
    ):
        return
    raise ValueError(bar_problem(bar) or "got an impossible bar")


Taker: TypeAlias = Callable[[Batch, Message, bytes], None]


def _take(batch: Batch, message: Message, taker: Taker) -> None:
    value = message.value()
    try:
        if value is None:
            raise ValueError("got no value, expected JSON")
        taker(batch, message, value)
    except (ValueError, OverflowError, RecursionError) as error:  # msgspec's errors are ValueErrors
        _fault(batch, message, str(error))


def _source(batch: Batch, message: Message) -> Any:
    origin = wire.origin_of(message.headers())  # type: ignore[arg-type]
    if origin.source == "replay":
        batch.dropped += 1
        return None
    return origin.source


def _bar(batch: Batch, message: Message, value: bytes) -> None:
    source = _source(batch, message)
    bar = wire.decode_bar(value)
    if source is None:
        return
    if not bar.closed:
        batch.dropped += 1
        return
    _check_bar(bar)
    batch.rows[tables.BARS.name].append(tables.bar_row(bar, source))
    batch.bars.append((bar, source))


def _trade(batch: Batch, message: Message, value: bytes) -> None:
    source = _source(batch, message)
    trade: Trade = wire.decode_trade(value)
    if problem := trade_problem(trade):
        raise ValueError(problem)
    if source is not None:
        batch.rows[tables.TRADES.name].append(tables.trade_row(trade, source))


def _ticker(batch: Batch, message: Message, value: bytes) -> None:
    source = _source(batch, message)
    ticker: Ticker = wire.decode_ticker(value)
    if source is not None:
        batch.rows[tables.TICKERS.name].append(tables.ticker_row(ticker, source))


def _ingest(batch: Batch, message: Message, value: bytes) -> None:
    record = records.decode_ingest(value)
    if isinstance(record, records.Gap):
        for part in (record.exchange, record.symbol, record.interval):
            tables.text(part)
        tables.moment(record.start)
        tables.moment(record.end)
        batch.gaps.append(record)
        return
    tables.moment(record.at)
    batch.faults.append(
        Fault(
            *_place(message),
            at=record.at,
            reason=_clean(record.reason, REASON_MAX),
            payload=_clean(record.payload, PAYLOAD_MAX),
            feed=_clean(record.feed, REASON_MAX),
            exchange=_clean(record.exchange, REASON_MAX),
            symbol=_clean(record.symbol, REASON_MAX),
            place=_clean(record.place, REASON_MAX),
        )
    )


def _result(batch: Batch, _message: Message, value: bytes) -> None:
    record = records.decode_result(value)
    tables.text(record.run_id)
    match record:
        case records.RunStarted():
            _check_started(record)
            batch.started.append(record)
        case records.RunEnded():
            tables.text(record.message)
            tables.text(record.trades_hash)
            tables.moment(record.ended_at)
            batch.ended.append(record)
        case records.RunEquity():
            batch.rows[tables.RUN_EQUITY.name].extend(tables.equity_rows(record))
        case records.RunFill():
            batch.rows[tables.RUN_FILLS.name].append(tables.fill_row(record))
        case records.RunTrade():
            batch.rows[tables.RUN_TRADES.name].append(tables.run_trade_row(record))


def _check_started(record: records.RunStarted) -> None:
    for part in (record.name, record.namespace, record.strategy, record.exchange, record.interval, record.replay_uid):
        tables.text(part)
    for symbol in record.symbols:
        tables.text(symbol)
    for raw in (record.params, record.spec):
        if b"\\u0000" in bytes(raw):
            raise ValueError("params, spec: got text with NUL, expected none")
        msgspec.json.decode(raw)
    tables.moment(record.started_at)


def _fault(batch: Batch, message: Message, reason: str) -> None:
    raw = (message.value() or b"")[:PAYLOAD_MAX].decode("utf-8", "replace")
    batch.faults.append(
        Fault(
            *_place(message),
            at=time.time_ns() // 1_000_000,
            reason=_clean(reason, REASON_MAX),
            payload=_clean(raw, PAYLOAD_MAX),
        )
    )


def _place(message: Message) -> tuple[str, int, int]:
    return message.topic() or "", message.partition() or 0, message.offset() or 0


def _clean(value: str, length: int) -> str:
    return value[:length].replace("\x00", "�").encode("utf-8", "replace").decode()


_TAKERS: dict[str, Taker] = {
    topics.MARKET_TRADES: _trade,
    topics.MARKET_TICKERS: _ticker,
    topics.MARKET_INGEST: _ingest,
    topics.RESULTS: _result,
}


def best_bars(bars: list[tuple[Bar, str]]) -> list[bytes]:
    """Rows with one bar a key: of several the highest revision, live before backfill, the first of equals."""
    best: dict[BarKey, tuple[Bar, str]] = {}
    for bar, source in bars:
        key = (bar.exchange, bar.symbol, bar.interval, bar.ts)
        known = best.get(key)
        if known is None or (bar.rev, source == "live") > (known[0].rev, known[1] == "live"):
            best[key] = (bar, source)
    return [tables.bar_row(bar, source) for bar, source in best.values()]  # type: ignore[arg-type]


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        tables.BARS, tables.TRADES, tables.TICKERS, tables.RUN_EQUITY, tables.RUN_FILLS, tables.RUN_TRADES,
    )
}  # fmt: skip
