"""From messages to a batch. No message makes it fail: what can't be taken is kept with the reason."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from confluent_kafka import Message

from tapedeck_common import records, topics, wire
from tapedeck_common.market import Bar, Source, trade_problem
from tapedeck_recorder.rows import bar_rows, copy_binary, tables
from tapedeck_recorder.rows.batch import REASON_MAX, Batch, Fault, bounded, place, poison

_decode_lines = msgspec.json.Decoder(Bar).decode_lines

# Bars decoded by one call, which holds the interpreter's lock: between two the writers get their turns.
STEP = 1_000
# What a message that can't be taken raises: msgspec's errors are ValueErrors.
BAD_MESSAGE = (ValueError, OverflowError, RecursionError, TypeError)
Taker: TypeAlias = Callable[[Batch, Message, bytes], None]


def build(messages: Sequence[Message]) -> Batch:
    """The batch of some messages."""
    batch = Batch(messages)
    last = {(message.topic(), message.partition()): message for message in messages}
    for message in last.values():
        topic, partition, offset = place(message)
        batch.next_offsets[topic, partition] = offset + 1
    for topic, some in _by_topic(messages, {topic for topic, _ in batch.next_offsets}).items():
        if topic == topics.MARKET_BARS:
            _take_bars(batch, some)
        else:
            for message in some:
                _take(batch, message, _TAKERS[topic])
    if batch.points:
        batch.rows[tables.POINTS].add(*(row for _, row in batch.points.values()))
    return batch


def _by_topic(messages: Sequence[Message], names: set[str]) -> dict[str, Sequence[Message]]:
    if len(names) == 1:
        return {names.pop(): messages}
    found: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.topic() or ""].append(message)
    return dict(found)


def _take_bars(batch: Batch, messages: Sequence[Message]) -> None:
    """The many: at once where all are sound, else one by one to find which are not."""
    try:
        found = _decode_all([message.value() for message in messages])
        sources = [wire.origin_of(message.headers()).source for message in messages]
        kept = [(bar, source) for bar, source in zip(found, sources, strict=True) if bar.closed and source != "replay"]
        _add_bars(batch, kept)
        batch.dropped += len(messages) - len(kept)
    except BAD_MESSAGE:
        sound: list[tuple[Bar, Source]] = []
        for message in messages:
            _take(batch, message, lambda b, m, value: _one_bar(b, m, value, sound))
        _add_bars(batch, sound)


def _decode_all(values: list[bytes | None]) -> list[Bar]:
    found: list[Bar] = []
    for start in range(0, len(values), STEP):
        some = values[start : start + STEP]
        lines = b"\n".join(some)  # type: ignore[arg-type]
        if lines.count(b"\n") != len(some) - 1:
            raise ValueError("a value of several lines, which may hold several bars")
        found += _decode_lines(lines)
    return found


def _add_bars(batch: Batch, kept: Sequence[tuple[Bar, Source]]) -> None:
    if kept:
        some, sources = zip(*kept, strict=True)
        packed = bar_rows.pack(some, sources)
        batch.rows[tables.BARS].parts.append(packed.rows)
        batch.rows[tables.BARS].count += packed.number
        batch.spans |= packed.spans


def _one_bar(batch: Batch, message: Message, value: bytes, sound: list[tuple[Bar, Source]]) -> None:
    source = _source(batch, message)
    if source is None:
        return
    bar = wire.decode_bar(value)
    if not bar.closed:
        batch.dropped += 1
        return
    bar_rows.check(bar)
    sound.append((bar, source))


def _take(batch: Batch, message: Message, taker: Taker) -> None:
    value = message.value()
    try:
        if value is None:
            raise ValueError("got no value, expected JSON")
        taker(batch, message, value)
    except BAD_MESSAGE as error:
        batch.faults.append(poison(message, str(error)))


def _source(batch: Batch, message: Message) -> Source | None:
    """Where the record comes from; None, and counted, for one that is replayed."""
    source = wire.origin_of(message.headers()).source
    if source == "replay":
        batch.dropped += 1
        return None
    return source


def _trade(batch: Batch, message: Message, value: bytes) -> None:
    if (source := _source(batch, message)) is None:
        return
    trade = wire.decode_trade(value)
    if problem := trade_problem(trade):
        raise ValueError(problem)
    batch.rows[tables.TRADES].add(copy_binary.trade_row(trade, source))


def _ticker(batch: Batch, message: Message, value: bytes) -> None:
    if (source := _source(batch, message)) is not None:
        batch.rows[tables.TICKERS].add(copy_binary.ticker_row(wire.decode_ticker(value), source))


def _point(batch: Batch, message: Message, value: bytes) -> None:
    """A point, unless the batch holds a later revision of it: one statement can't write a row twice."""
    if (source := _source(batch, message)) is None:
        return
    point = wire.decode_point(value)
    key = (point.exchange, point.symbol, point.interval, point.series, point.ts, point.id)
    before = batch.points.get(key)
    if before is None or point.rev > before[0]:
        batch.points[key] = (point.rev, copy_binary.point_row(point, source))


def _ingest(batch: Batch, message: Message, value: bytes) -> None:
    record = records.decode_ingest(value)
    if isinstance(record, records.Listing):
        batch.listings.append(_sound(record))
        return
    if isinstance(record, records.Gap):
        for part in (record.exchange, record.symbol, record.interval):
            copy_binary.name(part)
        if not copy_binary.check_moment(record.start) < copy_binary.check_moment(record.end):
            raise ValueError(f"end: got {record.end}, expected a time after start, {record.start}")
        batch.gaps.append(record)
        return
    batch.faults.append(
        Fault(
            *place(message),
            at=copy_binary.check_moment(record.at),
            reason=bounded(record.reason, REASON_MAX),
            payload=bounded(record.payload),
            feed=bounded(record.feed, REASON_MAX) or "unknown",
            exchange=bounded(record.exchange, REASON_MAX),
            symbol=bounded(record.symbol, REASON_MAX),
            place=bounded(record.place, REASON_MAX),
        )
    )


def _sound(listing: records.Listing) -> records.Listing:
    for part in (listing.exchange, listing.symbol, listing.base, listing.quote):
        copy_binary.name(part)
    for field in ("price_step", "amount_step"):
        step = getattr(listing, field)
        if step is not None and not (math.isfinite(step) and step > 0):
            raise ValueError(f"{field}: got {step}, expected a finite number above 0, or null")
    copy_binary.check_moment(listing.at)
    return listing


def _result(batch: Batch, _message: Message, value: bytes) -> None:
    record = records.decode_result(value)
    copy_binary.name(record.run_id)
    match record:
        case records.RunStarted():
            _check_started(record)
            batch.started.append(record)
        case records.RunEnded():
            copy_binary.text(record.message)
            copy_binary.text(record.trades_hash)
            copy_binary.whole(record.bars)
            copy_binary.check_moment(record.ended_at)
            batch.ended.append(record)
        case records.RunEquity():
            batch.of_runs[record.run_id][tables.RUN_EQUITY].add(*copy_binary.equity_rows(record))
        case records.RunTrial():
            batch.rows[tables.RUN_TRIALS].add(copy_binary.trial_row(record))
            batch.tried.add(record.run_id)
        case records.RunOrigin():
            batch.rows[tables.RUN_ORIGINS].add(copy_binary.origin_row(record))
        case records.RunFill():
            batch.of_runs[record.run_id][tables.RUN_FILLS].add(copy_binary.fill_row(record))
        case records.RunTrade():
            batch.of_runs[record.run_id][tables.RUN_TRADES].add(copy_binary.run_trade_row(record))


def _check_started(record: records.RunStarted) -> None:
    for part in (record.name, record.namespace, record.strategy, record.exchange, record.interval, record.replay_uid):
        copy_binary.text(part)
    for symbol in record.symbols:
        copy_binary.text(symbol)
    for field, raw in (("params", record.params), ("spec", record.spec)):
        if b"\\u0000" in bytes(raw):
            raise ValueError(f"{field}: got text with NUL, expected none")
        if not isinstance(msgspec.json.decode(raw), dict):
            raise ValueError(f"{field}: got {bytes(raw[:80])!r}, expected an object")
    copy_binary.check_moment(record.started_at)


_TAKERS: dict[str, Taker] = {
    topics.MARKET_TRADES: _trade,
    topics.MARKET_TICKERS: _ticker,
    topics.MARKET_INGEST: _ingest,
    topics.MARKET_POINTS: _point,
    topics.RESULTS: _result,
}
