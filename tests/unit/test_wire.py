"""The wire format: round trips, the published schemas, order and headers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_common import records, schemas, topics, wire
from tapedeck_common.files import binance
from tapedeck_common.market import Bar, Point, Ticker, Trade, bar_problem, event_time, order_key, trade_problem
from tapedeck_common.records import Gap, IngestError, RunEnded, RunEquity, RunStarted
from tapedeck_common.wire import (
    Epoch,
    EpochStart,
    MessageHeaders,
    Origin,
    ReplayEnd,
    ReplayStart,
    Watermark,
    copy_headers,
    decode_bar,
    decode_control,
    encode,
    encode_all,
    market_headers,
    origin_of,
    replay_headers,
)

prices = st.floats(min_value=1e-8, max_value=1e9)
bars = st.builds(
    Bar,
    exchange=st.just("coinbase"),
    symbol=st.sampled_from(["BTC/USD", "ETH/USD"]),
    interval=st.sampled_from(["1m", "1h"]),
    ts=st.integers(0, 2**41),
    open=prices,
    high=prices,
    low=prices,
    close=prices,
    volume=prices,
    rev=st.integers(0, 5),
)
RAW = msgspec.Raw(b"{}")
RECORDS: dict[str, list[msgspec.Struct]] = {
    "bar": [Bar("x", "A/B", "1m", 0, 1, 1, 1, 1, 0)],
    "trade": [Trade("x", "A/B", 0, "1", 1.5, 2, "buy")],
    "ticker": [Ticker("x", "A/B", 0, 1.5)],
    "point": [Point("x", "A/B", "1m", "sma5", 0, 1.5), Point("x", "A/B", "", "own", 0, None, "7", rev=1)],
    "ingest": [IngestError("f", "x", "A/B", "p:1", "r", "", 0), Gap("x", "A/B", "1m", 0, 60_000, "open")],
    "result": [
        RunStarted("r", "n", "d", "sma-cross", RAW, RAW, "x", ["A/B"], "1m", "", 1.0, 0),
        RunEquity("r", 0, [1], [1.0], [1.0]),
        RunEnded("r", "complete", "", 1, {"sharpe": None}, "h", 0),
    ],
    "replay-control": [
        ReplayStart("u", "n", "d", RAW, "x", ["A/B"], "1m", 0, 1, {"A/B": 1}, "f"),
        EpochStart("1.0", 5, "seek"),
        Watermark("1.0", 5, (5, "x", "A/B", "1m", 0), 1),
        ReplayEnd("1.0", 5, 1),
    ],
}


@given(bars)
def test_a_bar_round_trips_exactly(bar: Bar) -> None:
    assert decode_bar(encode(bar)) == bar
    # and another reader sees the same numbers
    assert json.loads(encode(bar))["close"] == bar.close


@given(st.lists(bars), st.text())
def test_records_together_have_the_bytes_of_each(some: list[Bar], symbol: str) -> None:
    named = [msgspec.structs.replace(bar, symbol=f"{symbol}\n") for bar in some]
    assert encode_all(named) == [encode(bar) for bar in named]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_records_match_their_published_schema(name: str) -> None:
    schema = json.loads((Path(schemas.__file__).parent / f"{name}.json").read_text())
    for record in RECORDS[name]:
        jsonschema.validate(json.loads(encode(record)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"type": "nothing"}, schema)


def test_published_schemas_match_the_types() -> None:
    assert schemas.stale() == []
    assert set(RECORDS) == set(schemas.PUBLISHED)


def test_the_tag_distinguishes_control_records() -> None:
    for record in RECORDS["replay-control"]:
        assert decode_control(encode(record)) == record


def test_headers_give_the_origin() -> None:
    assert origin_of(market_headers("live")) == Origin("live")
    assert origin_of(market_headers("replay")) == Origin("replay")
    assert origin_of(copy_headers("u")) == Origin("replay", copied_from="u")
    assert [origin_of(h).streamed for h in (copy_headers("u"), replay_headers("u", Epoch()))] == [False, True]
    assert origin_of(replay_headers("u", Epoch(3, 1))) == Origin("replay", "u", "3.1", False)
    assert origin_of(replay_headers("u", Epoch(3, 1), control=True)) == Origin("replay", "u", "3.1", True)
    assert Epoch.parse("3.1") == Epoch(3, 1) > Epoch(2, 9)


@pytest.mark.parametrize(
    "value", [b"2;live", b"1", b"1;moon", b"1;synthetic", b"1;replay;", b"1;replay;;0.0", b"\xff;live"]
)
def test_unknown_headers_are_rejected_by_name(value: bytes) -> None:
    with pytest.raises(ValueError, match="header td"):
        origin_of([("td", value)])


@pytest.mark.parametrize("headers", [None, [], [("other", b"1;live")], [("td", None)]])
def test_missing_headers_are_rejected(headers: MessageHeaders) -> None:
    with pytest.raises(ValueError, match="missing"):
        origin_of(headers)


@given(st.lists(bars, max_size=20))
def test_order_is_by_event_time_first(some: list[Bar]) -> None:
    ordered = sorted(some, key=order_key)
    moments = [event_time(b) for b in ordered]
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"interval": "7m"}, "interval"),
        ({"ts": 1}, "ts"),
        ({"open": float("nan")}, "open"),
        ({"close": float("inf")}, "close"),
        ({"close": -1.0}, "high/low"),
        ({"volume": -0.1}, "volume"),
        ({"high": 0.5}, "high/low"),
        ({"low": 1.5}, "high/low"),
    ],
)
def test_invalid_bars_name_the_field(changes: dict[str, object], field: str) -> None:
    sound = {"interval": "1m", "ts": 60_000, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 0.0}
    assert bar_problem(msgspec.convert({"exchange": "x", "symbol": "A/B", **sound}, Bar)) is None
    broken = Bar("x", "A/B", **{**sound, **changes})  # type: ignore[arg-type]
    problem = bar_problem(broken)
    assert problem is not None
    assert problem.startswith(field)


def test_invalid_trades_name_the_field() -> None:
    assert trade_problem(Trade("x", "A/B", 0, "1", 1.0, 1.0, "buy")) is None
    assert "amount" in (trade_problem(Trade("x", "A/B", 0, "1", 1.0, 0.0, "buy")) or "")


def test_shards_are_crc32() -> None:
    assert topics.shard_of("coinbase:BTC/USD", 4) == zlib.crc32(b"coinbase:BTC/USD") % 4


HOSTILE_JSON = (b"[" * 100_000, b'{"x":' * 100_000, b'{"ts":' + b"[" * 100_000, b'"\\ud800"', b"\xff", b"", b"\0")


@pytest.mark.parametrize("decoder", [wire.decode_bar, wire.decode_control, records.decode_result, binance._decode])
@pytest.mark.parametrize("value", HOSTILE_JSON, ids=lambda value: repr(value[:8]))
def test_hostile_json_raises_a_decode_error_alone(decoder: Callable[[bytes], object], value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoder(value)
