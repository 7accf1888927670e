"""Symbols are the exchange's text: accepted where they are named, and unchanged on each way out."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from by_hand.symbols import EXCHANGES_TEXT, NO_SYMBOLS
from tapedeck_backtest.bars.arrays import interval_of, is_resampled, resampled_name, symbol_of
from tapedeck_common.market import Bar, series_key
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.topics import MARKET_BARS
from tapedeck_common.wire import decode_bar, encode, market_headers
from tapedeck_crds.base import Symbol, SymbolPattern, is_symbol
from tapedeck_gateway.charts.symbols import ChartSymbol, SymbolText, parse_symbol
from tapedeck_recorder.sinks.line_protocol import encode_points

SYMBOLS: TypeAdapter[str] = TypeAdapter(Symbol)
PATTERNS: TypeAdapter[str] = TypeAdapter(SymbolPattern)
symbols = st.text(min_size=1, max_size=64).filter(is_symbol) | st.sampled_from(EXCHANGES_TEXT)

VERIFIER = ResultVerifier(b"no results here")


class Message:
    """What the encoder reads of a message."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def topic(self) -> str:
        return MARKET_BARS

    def value(self) -> bytes:
        return encode(self._bar)

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        return market_headers("live")


def schema(kind: TypeAdapter[str]) -> dict[str, Any]:
    """What the API server checks. In Go $ is the end; in Python it also stands before a last line break."""
    found = kind.json_schema()
    return found | {"pattern": found["pattern"].removesuffix("$") + r"\Z"}


@pytest.mark.parametrize("text", EXCHANGES_TEXT)
def test_what_exchanges_write_is_a_symbol(text: str) -> None:
    for kind in (SYMBOLS, PATTERNS):
        assert kind.validate_python(text) == text
        jsonschema.validate(text, schema(kind))


@pytest.mark.parametrize("text", NO_SYMBOLS)
def test_what_is_no_symbol(text: str) -> None:
    for kind in (SYMBOLS, PATTERNS):
        with pytest.raises(ValueError, match=r"at least 1 character|at most 64|expected the exchange's own text"):
            kind.validate_python(text)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(text, schema(kind))


def test_wildcards_are_of_patterns_only() -> None:
    assert PATTERNS.validate_python("*/US?") == "*/US?"
    with pytest.raises(ValueError, match=r"without \* and \?"):
        SYMBOLS.validate_python("*/USD")


@given(symbol=symbols, series=st.sampled_from(["", "sma5"]))
def test_charts_name_any_symbol(symbol: str, series: str) -> None:
    assert parse_symbol(str(ChartSymbol("a.b", symbol, "", series))) == SymbolText(symbol, "a.b", None, series)
    played = ChartSymbol("a.b", symbol, "1f-2", series)
    assert parse_symbol(str(played)) == SymbolText(symbol, "", ("1f-2", "a.b"), series)


@given(symbol=symbols)
def test_records_and_feeds_keep_it(symbol: str) -> None:
    bar = Bar("x", symbol, "1m", 60_000, -1, 2, -3, 0, 4)
    assert decode_bar(encode(bar)) == bar
    assert series_key("x", symbol).partition(":") == ("x", ":", symbol)
    name = resampled_name(symbol, "1M")
    assert (symbol_of(name), interval_of(name), is_resampled(name)) == (symbol, "1M", True)
    assert (symbol_of(symbol), is_resampled(symbol)) == (symbol, False)


@given(symbol=symbols)
def test_line_protocol_gives_it_back(symbol: str) -> None:
    """Read as the protocol is specified: an escaped character is itself, others end the name or the value."""
    try:
        (line,) = encode_points(Message(Bar("x", symbol, "1m", 60_000, -37.63, -37.0, -40.32, -38.5, 1)), VERIFIER)  # type: ignore[arg-type]
    except ValueError:
        assert not symbol.isprintable()
        return
    tags, fields, _ = re.split(r"(?<!\\) ", line)
    pairs = [re.split(r"(?<!\\)=", each) for each in re.split(r"(?<!\\),", tags)[1:]]
    found = {name: re.sub(r"\\([,= ])", r"\1", value) for name, value in pairs}
    assert found == {"exchange": "x", "symbol": symbol, "interval": "1m"}
    assert fields.startswith("open=-37.63,high=-37.0,low=-40.32,close=-38.5,volume=1")
