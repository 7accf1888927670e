"""Decoding messages into a batch. No message makes it fail: a rejected message is kept with its reason."""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

import msgspec
from confluent_kafka import Message
from pydantic import ValidationError

from tapedeck_common import records, topics, wire
from tapedeck_common.log_positions import Partition, message_offset, message_partition, partition_runs, position_after
from tapedeck_common.market import Bar, RecordSource, trade_problem
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_crds.base import described_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.session import Session
from tapedeck_crds.text import printable
from tapedeck_crds.validation import validation_problems
from tapedeck_recorder.rows import bar_rows, copy_binary, tables
from tapedeck_recorder.rows.bar_rows import BarCollector
from tapedeck_recorder.rows.batch import (
    REASON_MAX,
    Batch,
    IngestErrorRow,
    record_timestamp,
    rejected_message,
    storable_text,
)

# Each call decodes so many bars while it holds the interpreter's lock: between two calls the writer threads run.
DECODE_STEP = 500
# What decoding a message may raise. msgspec's errors are ValueErrors.
DECODE_ERRORS = (ValueError, OverflowError, RecursionError, TypeError)
PartitionRun: TypeAlias = tuple[Partition, Sequence[Message]]
Decoder: TypeAlias = Callable[[Batch, Message, bytes], None]

_decode_lines = msgspec.json.Decoder(Bar).decode_lines


def build_batch(messages: Sequence[Message], verifier: ResultVerifier) -> Batch:
    """Decode messages, in log order per partition."""
    return batch_of_runs(list(partition_runs(messages)), verifier)


def batch_of_runs(runs: Sequence[PartitionRun], verifier: ResultVerifier) -> Batch:
    """Decode the messages of these runs, as ``partition_runs`` has them."""
    batch = Batch(list(itertools.chain.from_iterable(run for _, run in runs)))
    decoders = _DECODERS | {topics.RESULTS: functools.partial(_decode_result, verifier)}
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for partition, run in runs:
        by_topic[partition[0]] += run
        batch.next_positions[partition] = position_after(run[-1])
        batch.written_at[partition] = record_timestamp(run[-1])
    for topic, of_topic in by_topic.items():
        if topic == topics.MARKET_BARS:
            _add_bar_messages(batch, of_topic)
        else:
            for message in of_topic:
                _add_message(batch, message, decoders[topic])
    if batch.points:
        batch.rows[tables.POINTS].add(*(row for _, row in batch.points.values()))
    return batch


def _add_bar_messages(batch: Batch, messages: Sequence[Message]) -> None:
    """Read all bars by steps; where one of them is invalid, go one by one to find which."""
    collector = BarCollector()
    try:
        sources = _sources(messages)
        for start in range(0, len(messages), DECODE_STEP):
            step = slice(start, start + DECODE_STEP)
            _collect(collector, _decode_bars(list(map(Message.value, messages[step]))), sources[step])
        dropped = len(messages) - len(collector)
        _set_bars(batch, collector)
        batch.dropped += dropped
    except DECODE_ERRORS:
        valid: list[tuple[Bar, RecordSource]] = []
        for message in messages:
            _add_message(batch, message, lambda b, m, value: _decode_bar(b, m, value, valid))
        collector = BarCollector()
        collector.add([bar for bar, _ in valid], [source for _, source in valid])
        _set_bars(batch, collector)


def _decode_bars(values: list[bytes | None]) -> list[Bar]:
    lines = b"\n".join(values)  # type: ignore[arg-type]
    if lines.count(b"\n") != len(values) - 1:
        raise InvalidInput("value: got several lines, expected JSON on one line")
    return _decode_lines(lines)


def _collect(collector: BarCollector, bars: list[Bar], sources: list[RecordSource | None]) -> None:
    """Add those that are recorded."""
    kept = [bar.closed and source is not None for bar, source in zip(bars, sources, strict=True)]
    recorded = cast(Iterable[RecordSource], itertools.compress(sources, kept))  # none of which is None
    collector.add(bars if all(kept) else list(itertools.compress(bars, kept)), list(recorded))


def _sources(messages: Sequence[Message]) -> list[RecordSource | None]:
    """The source of each record; None for those of a replay's stream. Neighbours mostly have the same headers."""
    sources: list[RecordSource | None] = []
    for headers, same in itertools.groupby(map(Message.headers, messages)):
        origin = wire.origin_of(headers)
        sources += [None if origin.streamed else origin.source] * len(list(same))
    return sources


def _set_bars(batch: Batch, collector: BarCollector) -> None:
    if len(collector):
        batch.bars = collector.batch()


def _decode_bar(batch: Batch, message: Message, value: bytes, valid: list[tuple[Bar, RecordSource]]) -> None:
    source = _source(batch, message)
    if source is None:
        return
    bar = wire.decode_bar(value)
    if not bar.closed:
        batch.dropped += 1
        return
    bar_rows.validate_bar(bar, source)
    valid.append((bar, source))


def _add_message(batch: Batch, message: Message, decoder: Decoder) -> None:
    value = message.value()
    try:
        if value is None:
            raise InvalidInput("value: got none, expected JSON")
        decoder(batch, message, value)
    except DECODE_ERRORS as error:
        batch.errors.append(rejected_message(message, str(error)))


def _source(batch: Batch, message: Message) -> RecordSource | None:
    """The record's source; None for a record of a replay's stream, which is counted and dropped."""
    origin = wire.origin_of(message.headers())
    if origin.streamed:
        batch.dropped += 1
        return None
    return origin.source


def _decode_trade(batch: Batch, message: Message, value: bytes) -> None:
    if (source := _source(batch, message)) is None:
        return
    trade = wire.decode_trade(value)
    if problem := trade_problem(trade):
        raise InvalidInput(problem)
    batch.rows[tables.TRADES].add(copy_binary.trade_row(trade, source))


def _decode_ticker(batch: Batch, message: Message, value: bytes) -> None:
    if (source := _source(batch, message)) is not None:
        batch.rows[tables.TICKERS].add(copy_binary.ticker_row(wire.decode_ticker(value), source))


def _decode_point(batch: Batch, message: Message, value: bytes) -> None:
    """Keep the point's highest revision of the batch: one upsert can't write a row twice."""
    if (source := _source(batch, message)) is None:
        return
    point = wire.decode_point(value)
    key = (point.exchange, point.symbol, point.interval, point.series, point.ts, point.id)
    before = batch.points.get(key)
    if before is None or point.rev > before[0]:
        batch.points[key] = (point.rev, copy_binary.point_row(point, source))


def _decode_ingest(batch: Batch, message: Message, value: bytes) -> None:
    record = records.decode_ingest(value)
    match record:
        case records.Listing():
            _validate_listing(record)
            batch.listings.append(record)
        case records.SymbolSession():
            _validate_session(record)
            batch.sessions.append(record)
        case records.Gap():
            _validate_gap(record)
            batch.gaps.append(record)
        case records.IngestError():
            batch.errors.append(_error_row(message, record))


def _validate_listing(listing: records.Listing) -> None:
    for name in (listing.exchange, listing.symbol):
        copy_binary.name_field(name)
    for name in (listing.base, listing.quote):
        copy_binary.key_field(name)
    for field in ("price_step", "amount_step"):
        step = getattr(listing, field)
        if step is not None and not (math.isfinite(step) and step > 0):
            raise InvalidInput(f"{field}: got {step}, expected a finite number above 0, or null")
    copy_binary.checked_timestamp(listing.at)


def _validate_session(record: records.SymbolSession) -> None:
    for name in (record.exchange, record.symbol):
        copy_binary.name_field(name)
    try:
        Session.model_validate({name: getattr(record, name) for name in ("timezone", "open", "close", "days")})
    except ValidationError as error:
        raise InvalidInput("; ".join(validation_problems(error))) from None
    copy_binary.checked_timestamp(record.at)


def _validate_gap(gap: records.Gap) -> None:
    for name in (gap.exchange, gap.symbol):
        copy_binary.name_field(name)
    for name in (gap.interval, gap.ids):
        copy_binary.key_field(name)
    if not copy_binary.checked_timestamp(gap.start) < copy_binary.checked_timestamp(gap.end):
        raise InvalidInput(f"end: got {described_ms(gap.end)}, expected a time after start, {described_ms(gap.start)}")


def _error_row(message: Message, record: records.IngestError) -> IngestErrorRow:
    return IngestErrorRow(
        *message_partition(message),
        offset=message_offset(message),
        at=copy_binary.checked_timestamp(record.at),
        reason=storable_text(record.reason, REASON_MAX),
        payload=storable_text(record.payload),
        feed=storable_text(record.feed, REASON_MAX) or "unknown",
        exchange=storable_text(record.exchange, REASON_MAX),
        symbol=storable_text(record.symbol, REASON_MAX),
        place=storable_text(record.place, REASON_MAX),
        rows=record.rows,
    )


def _decode_result(verifier: ResultVerifier, batch: Batch, message: Message, value: bytes) -> None:
    record = records.decode_result(value)
    copy_binary.name_field(record.run_id)
    namespace = verifier.namespace(record.run_id, value, message.headers())
    match record:
        case records.RunStarted():
            _validate_run_started(record, namespace)
            batch.runs_started.append(record)
        case records.RunEnded():
            copy_binary.text_field(record.message)
            copy_binary.text_field(record.trades_hash)
            copy_binary.int8_field(record.bars)
            copy_binary.checked_timestamp(record.ended_at)
            batch.runs_ended.append(msgspec.structs.replace(record, message=printable(record.message, keep="\n\t")))
        case records.RunEquity():
            batch.run_rows[record.run_id][tables.RUN_EQUITY].add(*copy_binary.equity_rows(record))
        case records.RunTrial():
            batch.rows[tables.RUN_TRIALS].add(copy_binary.trial_row(record))
        case records.RunOrigin():
            batch.rows[tables.RUN_ORIGINS].add(copy_binary.origin_row(record))
        case records.RunFill():
            batch.run_rows[record.run_id][tables.RUN_FILLS].add(copy_binary.fill_row(record))
        case records.RunTrade():
            batch.run_rows[record.run_id][tables.RUN_TRADES].add(copy_binary.run_trade_row(record))


def _validate_run_started(run: records.RunStarted, namespace: str) -> None:
    if run.namespace != namespace:
        raise InvalidInput(f"namespace: got {run.namespace!r}, expected that of the run's signature, {namespace!r}")
    for text in (run.name, run.namespace, run.strategy, run.exchange, run.interval, run.replay_uid):
        copy_binary.text_field(text)
    for symbol in run.symbols:
        copy_binary.text_field(symbol)
    for field, raw in (("params", run.params), ("spec", run.spec)):
        if b"\\u0000" in bytes(raw):
            raise InvalidInput(f"{field}: got text with NUL, expected no NUL character")
        if not isinstance(msgspec.json.decode(raw), dict):
            raise InvalidInput(f"{field}: got {bytes(raw[:80])!r}, expected an object")
    copy_binary.checked_timestamp(run.started_at)


_DECODERS: dict[str, Decoder] = {
    topics.MARKET_TRADES: _decode_trade,
    topics.MARKET_TICKERS: _decode_ticker,
    topics.MARKET_INGEST: _decode_ingest,
    topics.MARKET_POINTS: _decode_point,
}
