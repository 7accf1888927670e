"""Records as points of InfluxDB's line protocol: ``measurement,tag=… field=…,… nanoseconds``.

Measurement, tags and time are what makes a point that point. The last six digits of the time tell points of one
millisecond apart: an id's last digits, or of one that is no number its checksum's. Two such trades of a market in one
millisecond share a point once in a million.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache

from confluent_kafka import Message

from tapedeck_common import records, topics, wire
from tapedeck_common.market import Source, trade_problem
from tapedeck_crds.sink import SinkRecords
from tapedeck_recorder.rows import bar_rows, copy_binary

TOPICS: dict[SinkRecords, str] = {
    "bars": topics.MARKET_BARS,
    "tickers": topics.MARKET_TICKERS,
    "trades": topics.MARKET_TRADES,
    "points": topics.MARKET_POINTS,
    "results": topics.RESULTS,
}
_IN_A_MS = 1_000_000
_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_TEXT = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": " ", "\r": " "})


def points(message: Message) -> list[str]:
    """The lines of a record; none for one that is not kept: replayed, unclosed, or nothing that these stores get.

    Raises one of ``decode.BAD_MESSAGE`` for what the recorder can't take either.
    """
    value = message.value()
    if value is None:
        raise ValueError("got no value, expected JSON")
    return _OF_TOPIC[message.topic() or ""](message, value)


def _bar(message: Message, value: bytes) -> list[str]:
    source, bar = wire.origin_of(message.headers()).source, wire.decode_bar(value)
    if source == "replay" or not bar.closed:
        return []
    bar_rows.check(bar)
    head = _head("bars", ("exchange", bar.exchange), ("symbol", bar.symbol), ("interval", bar.interval))
    return [
        f'{head} open={bar.open!r},high={bar.high!r},low={bar.low!r},close={bar.close!r},volume={bar.volume!r},'
        f'rev={bar.rev}i,source="{source}" {bar.ts * _IN_A_MS}'
    ]  # fmt: skip


def _trade(message: Message, value: bytes) -> list[str]:
    trade = wire.decode_trade(value)
    if (source := _market_source(message)) is None:
        return []
    if problem := trade_problem(trade):
        raise ValueError(problem)
    head = _head("trades", ("exchange", trade.exchange), ("symbol", trade.symbol), ("side", trade.side))
    fields = f'id={_text(trade.id)},price={trade.price!r},amount={trade.amount!r},source="{source}"'
    return [f"{head} {fields} {copy_binary.check_moment(trade.ts) * _IN_A_MS + place_of(trade.id)}"]


def _ticker(message: Message, value: bytes) -> list[str]:
    ticker = wire.decode_ticker(value)
    if (source := _market_source(message)) is None:
        return []
    head = _head("tickers", ("exchange", ticker.exchange), ("symbol", ticker.symbol))
    names = ("price", "volume24h", "high24h", "low24h", "bid", "ask")
    fields = _numbers([(name, getattr(ticker, name)) for name in names])
    if not math.isfinite(ticker.price):
        raise ValueError(f"price: got {ticker.price}, expected a finite number")
    return [f'{head} {fields},source="{source}" {copy_binary.check_moment(ticker.ts) * _IN_A_MS}']


def _point(message: Message, value: bytes) -> list[str]:
    """A result of a transform. One that is taken back says so: a field that was written can't be made null."""
    point = wire.decode_point(value)
    if (source := _market_source(message)) is None:
        return []
    copy_binary.point_row(point, source)  # raises where it can't be kept
    tags = (("exchange", point.exchange), ("symbol", point.symbol), ("interval", point.interval))
    head = _head("points", *(tag for tag in tags if tag[1]), ("series", point.series))
    numbers = _numbers([(name, getattr(point, name)) for name in ("value", "open", "high", "low", "volume")])
    fields = f'{numbers}{"," if numbers else ""}id={_text(point.id)},rev={point.rev}i,source="{source}"'
    at = point.ts * _IN_A_MS + (place_of(point.id) if point.id else 0)
    return [f"{head} {fields},taken_back={'t' if point.value is None else 'f'} {at}"]


def _result(_message: Message, value: bytes) -> list[str]:
    match records.decode_result(value):
        case records.RunEquity() as equity:
            return _equity(equity)
        case records.RunTrade() as trade:
            return [_run_trade(trade)]
    return []


def _equity(record: records.RunEquity) -> list[str]:
    copy_binary.equity_rows(record)  # raises where the arrays do not fit together
    head = _head("run_equity", ("run_id", record.run_id))
    names = ("value", "cash", "change_percent", "drawdown_percent", "sharpe")
    columns = [getattr(record, name) or [None] * len(record.ts) for name in names]
    found = []
    for at, ts, *figures in zip(record.at or range(len(record.ts)), record.ts, *columns, strict=True):
        seq = record.seq + at
        if fields := _numbers(list(zip(names, figures, strict=True))):
            found.append(f"{head} {fields},seq={seq}i {ts * _IN_A_MS + seq % _IN_A_MS}")
    return found


def _run_trade(trade: records.RunTrade) -> str:
    copy_binary.run_trade_row(trade)
    head = _head("run_trades", ("run_id", trade.run_id), ("symbol", trade.symbol), ("side", trade.side))
    names = ("size", "entry_price", "exit_price", "pnl", "pnl_net", "commission")
    numbers = _numbers([(name, getattr(trade, name)) for name in names])
    return (
        f"{head} {numbers},entry_ts={trade.entry_ts}i,seq={trade.seq}i,entry_reason={_text(trade.entry_reason)},"
        f"exit_reason={_text(trade.exit_reason)} {trade.exit_ts * _IN_A_MS + trade.seq % _IN_A_MS}"
    )


def place_of(trade_id: str) -> int:
    """Where in its millisecond a trade is put, nanoseconds: the same for the same id."""
    if trade_id.isascii() and trade_id.isdigit():
        return int(trade_id[-6:])
    return zlib.crc32(trade_id.encode()) % _IN_A_MS


def _market_source(message: Message) -> Source | None:
    source = wire.origin_of(message.headers()).source
    return None if source == "replay" else source


@lru_cache(maxsize=65_536)
def _head(measurement: str, *tags: tuple[str, str]) -> str:
    return measurement + "".join(f",{name}={_tag(name, value)}" for name, value in tags)


def _tag(name: str, value: str) -> str:
    copy_binary.name(value)
    if not value or not value.isprintable() or "\\" in value:
        raise ValueError(f"{name}: got {value[:80]!r}, expected a name without backslash and control characters")
    return value.translate(_TAG)


def _text(value: str) -> str:
    copy_binary.text(value)
    return f'"{value.translate(_TEXT)}"'


def _numbers(named: list[tuple[str, float | None]]) -> str:
    """Fields with a value; the line protocol knows neither null nor infinity."""
    return ",".join(f"{name}={value!r}" for name, value in named if value is not None and math.isfinite(value))


_OF_TOPIC: dict[str, Callable[[Message, bytes], list[str]]] = {
    topics.MARKET_BARS: _bar,
    topics.MARKET_TRADES: _trade,
    topics.MARKET_TICKERS: _ticker,
    topics.MARKET_POINTS: _point,
    topics.RESULTS: _result,
}
