"""Encoding records as InfluxDB line protocol: ``measurement,tag=… field=…,… nanoseconds``.

A sink identifies a point by measurement, tags and time. Several records of one series may share a millisecond, so the
last six digits of the time come from the record's id: its last digits, or its checksum where it is not a number. Two
ids of one millisecond then collide with a probability of one in a million.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache

from confluent_kafka import Message

from tapedeck_common import records, topics, wire
from tapedeck_common.market import RecordSource, is_number, trade_problem
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.sink import SinkRecords
from tapedeck_crds.text import printable
from tapedeck_recorder.rows import bar_rows, copy_binary

TOPICS: dict[SinkRecords, str] = {
    "bars": topics.MARKET_BARS,
    "tickers": topics.MARKET_TICKERS,
    "trades": topics.MARKET_TRADES,
    "points": topics.MARKET_POINTS,
    "results": topics.RESULTS,
}
_NANOS_PER_MS = 1_000_000
_SAME_SEQ = 100  # nanoseconds for trades of one seq: a repeat that was numbered again has another
_SEQ_MAX = _NANOS_PER_MS // _SAME_SEQ - 1
_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_TEXT = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": " ", "\r": " "})


def encode_points(message: Message, verifier: ResultVerifier) -> list[str]:
    """The lines of a record: none for a replayed record, an unclosed bar, or a result that sinks do not receive.

    Raises one of ``batch_builder.DECODE_ERRORS`` for a message that the recorder rejects too.
    """
    value = message.value()
    if value is None:
        raise InvalidInput("value: got none, expected JSON")
    if message.topic() == topics.RESULTS:
        return _encode_result(message, value, verifier)
    return _ENCODERS[message.topic() or ""](message, value)


def _encode_bar(message: Message, value: bytes) -> list[str]:
    source, bar = _source(message), wire.decode_bar(value)
    if source is None or not bar.closed:
        return []
    bar_rows.validate_bar(bar, source)
    prefix = _measurement_and_tags(
        "bars", ("exchange", bar.exchange), ("symbol", bar.symbol), ("interval", bar.interval)
    )
    return [
        f'{prefix} open={bar.open!r},high={bar.high!r},low={bar.low!r},close={bar.close!r},volume={bar.volume!r},'
        f'rev={bar.rev}i,source="{source}" {bar.ts * _NANOS_PER_MS}'
    ]  # fmt: skip


def _encode_trade(message: Message, value: bytes) -> list[str]:
    trade = wire.decode_trade(value)
    if (source := _source(message)) is None:
        return []
    if problem := trade_problem(trade):
        raise InvalidInput(problem)
    prefix = _measurement_and_tags(
        "trades", ("exchange", trade.exchange), ("symbol", trade.symbol), ("side", trade.side)
    )
    fields = f'id={_text(trade.id)},price={trade.price!r},amount={trade.amount!r},source="{source}"'
    at = copy_binary.checked_market_time(trade.ts, source) * _NANOS_PER_MS + nanos_within_ms(trade.id, trade.seq)
    return [f"{prefix} {fields} {at}"]


def _encode_ticker(message: Message, value: bytes) -> list[str]:
    ticker = wire.decode_ticker(value)
    if (source := _source(message)) is None:
        return []
    prefix = _measurement_and_tags("tickers", ("exchange", ticker.exchange), ("symbol", ticker.symbol))
    names = ("price", "volume24h", "high24h", "low24h", "bid", "ask")
    fields = _numbers([(name, getattr(ticker, name)) for name in names])
    if not math.isfinite(ticker.price):
        raise InvalidInput(f"price: got {ticker.price}, expected a finite number")
    return [f'{prefix} {fields},source="{source}" {copy_binary.checked_market_time(ticker.ts, source) * _NANOS_PER_MS}']


def _encode_point(message: Message, value: bytes) -> list[str]:
    """A result of a transform. A retracted one has a field of its own: line protocol can't set a field to null."""
    point = wire.decode_point(value)
    if (source := _source(message)) is None:
        return []
    copy_binary.point_row(point, source)  # validates it
    tags = (("exchange", point.exchange), ("symbol", point.symbol), ("interval", point.interval))
    prefix = _measurement_and_tags("points", *(tag for tag in tags if tag[1]), ("series", point.series))
    numbers = _numbers([(name, getattr(point, name)) for name in ("value", "open", "high", "low", "volume")])
    fields = f'{numbers}{"," if numbers else ""}id={_text(point.id)},rev={point.rev}i,source="{source}"'
    at = point.ts * _NANOS_PER_MS + (nanos_within_ms(point.id, point.seq) if point.id else 0)
    return [f"{prefix} {fields},taken_back={'t' if point.value is None else 'f'} {at}"]


def _encode_result(message: Message, value: bytes, verifier: ResultVerifier) -> list[str]:
    record = records.decode_result(value)
    verifier.namespace(record.run_id, value, message.headers())
    match record:
        case records.RunEquity() as equity:
            return _encode_equity(equity)
        case records.RunTrade() as trade:
            return [_encode_run_trade(trade)]
    return []


def _encode_equity(record: records.RunEquity) -> list[str]:
    copy_binary.equity_rows(record)  # validates the lengths of the arrays
    prefix = _measurement_and_tags("run_equity", ("run_id", record.run_id))
    names = ("value", "cash", "change_percent", "drawdown_percent", "sharpe")
    columns = [getattr(record, name) or [None] * len(record.ts) for name in names]
    lines = []
    for at, ts, *figures in zip(record.at or range(len(record.ts)), record.ts, *columns, strict=True):
        seq = record.seq + at
        if fields := _numbers(list(zip(names, figures, strict=True))):
            lines.append(f"{prefix} {fields},seq={seq}i {ts * _NANOS_PER_MS + seq % _NANOS_PER_MS}")
    return lines


def _encode_run_trade(trade: records.RunTrade) -> str:
    copy_binary.run_trade_row(trade)
    prefix = _measurement_and_tags(
        "run_trades", ("run_id", trade.run_id), ("symbol", trade.symbol), ("side", trade.side)
    )
    names = ("size", "entry_price", "exit_price", "pnl", "pnl_net", "commission")
    numbers = _numbers([(name, getattr(trade, name)) for name in names])
    return (
        f"{prefix} {numbers},entry_ts={trade.entry_ts}i,seq={trade.seq}i,entry_reason={_text(trade.entry_reason)},"
        f"exit_reason={_text(trade.exit_reason)} {trade.exit_ts * _NANOS_PER_MS + trade.seq % _NANOS_PER_MS}"
    )


def nanos_within_ms(trade_id: str, seq: int) -> int:
    """The nanoseconds that distinguish a trade within its millisecond, in the order of ``seq`` or of numeric ids."""
    checksum = zlib.crc32(trade_id.encode())
    if seq:
        return min(seq, _SEQ_MAX) * _SAME_SEQ + checksum % _SAME_SEQ
    return int(trade_id[-6:]) if is_number(trade_id) else checksum % _NANOS_PER_MS


def _source(message: Message) -> RecordSource | None:
    """The record's source; None for a record of a replay's stream."""
    origin = wire.origin_of(message.headers())
    return None if origin.streamed else origin.source


@lru_cache(maxsize=65_536)
def _measurement_and_tags(measurement: str, *tags: tuple[str, str]) -> str:
    return measurement + "".join(f",{name}={_tag(name, value)}" for name, value in tags)


def _tag(name: str, value: str) -> str:
    copy_binary.key_field(value)
    if not value or not value.isprintable() or "\\" in value:
        raise InvalidInput(f"{name}: got {value[:80]!r}, expected a name without backslash and control characters")
    return value.translate(_TAG)


def _text(value: str) -> str:
    copy_binary.text_field(value)
    return '"' + printable(value, keep="\n\t").translate(_TEXT) + '"'


def _numbers(named: list[tuple[str, float | None]]) -> str:
    """The fields with a finite value: line protocol has neither null nor infinity."""
    return ",".join(f"{name}={value!r}" for name, value in named if value is not None and math.isfinite(value))


_ENCODERS: dict[str, Callable[[Message, bytes], list[str]]] = {
    topics.MARKET_BARS: _encode_bar,
    topics.MARKET_TRADES: _encode_trade,
    topics.MARKET_TICKERS: _encode_ticker,
    topics.MARKET_POINTS: _encode_point,
}
