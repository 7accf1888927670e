"""CryptoCompare's messages and error responses, as its documentation gives them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tapedeck_common.market import Bar, Side, Ticker, Trade
from tapedeck_feed.exchanges.cryptocompare import messages
from tapedeck_feed.exchanges.cryptocompare.errors import translate_error
from tapedeck_feed.exchanges.cryptocompare.pairs import INDEX, Pair, pair_of, parse_pairs, select_pairs
from tapedeck_feed.exchanges.cryptocompare.rest import parse_response
from tapedeck_feed.exchanges.errors import (
    ExchangeRequestFailed,
    ExchangeUnreachable,
    InvalidFeedInput,
    SubscriptionLost,
)

TRADE = {
    "TYPE": "0", "M": "Coinbase", "FSYM": "BTC", "TSYM": "USD", "F": "1", "ID": "12345678", "TS": 1593768260,
    "TSNS": 7_900_000, "Q": 0.01, "P": 32500.12, "TOTAL": 325.0012,
}  # fmt: skip
SYMBOL = "BTC/USD:Coinbase"


def test_a_trade() -> None:
    expected = Trade("cryptocompare", SYMBOL, 1_593_768_260_007, "12345678", 32500.12, 0.01, "sell")
    assert messages.to_trade("cryptocompare", SYMBOL, TRADE, None) == expected


@pytest.mark.parametrize(
    ("flag", "before", "side"),
    [
        ("2", None, "buy"), ("9", None, "sell"), (10, None, "buy"), ("4", None, "buy"),
        ("4", (32500.0, "sell"), "buy"), ("4", (32501.0, "buy"), "sell"), ("4", (32500.12, "sell"), "sell"),
    ],
)  # fmt: skip
def test_the_side_is_the_flags_or_follows_from_the_price(
    flag: Any, before: tuple[float, Side] | None, side: str
) -> None:
    assert messages.to_trade("cryptocompare", SYMBOL, {**TRADE, "F": flag}, before).side == side


@pytest.mark.parametrize(
    ("field", "value"),
    [("ID", 12), ("ID", None), ("P", "dear"), ("P", None), ("Q", True), ("TS", "noon"), ("TS", 1e10), ("F", "x")],
)
def test_the_error_names_a_field_of_a_wrong_type(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{field}|price"):
        messages.to_trade("cryptocompare", SYMBOL, {**TRADE, field: value}, None)


def test_bars_and_tickers() -> None:
    row = {"time": 1579351560, "high": 8902.45, "low": 8900, "open": 8901.9, "volumefrom": 1.591, "close": 8901.88}
    expected = Bar("cryptocompare", "BTC/USD", "1m", 1_579_351_560_000, 8901.9, 8902.45, 8900.0, 8901.88, 1.591)
    assert messages.to_bar("cryptocompare", "BTC/USD", "1m", row) == expected
    nothing = dict.fromkeys(("high", "low", "open", "volumefrom", "close"), 0)
    assert messages.to_bar("cryptocompare", "BTC/USD", "1m", {**row, **nothing}) is None
    with pytest.raises(ValueError, match="high/low"):
        messages.to_bar("cryptocompare", "BTC/USD", "1m", {**row, "low": 8950})
    state = {"PRICE": 5, "LASTUPDATE": 1593768260, "BID": 4.5, "HIGH24HOUR": 6, "LOW24HOUR": None}
    ticker = Ticker("cryptocompare", "BTC/USD", 1_593_768_260_000, 5.0, None, 6.0, None, 4.5, None)
    assert messages.to_ticker("cryptocompare", "BTC/USD", state) == ticker


def test_symbols_name_the_index_or_an_exchange() -> None:
    pairs = {
        "BTC": {"tsyms": {"USD": {}, "EUR": {"isActive": True}, "LTL": {"isActive": False}}},
        "ETH": {"tsyms": {"USD": {}}},
    }
    index, markets = parse_pairs(INDEX, pairs), parse_pairs("Coinbase", pairs)
    assert select_pairs("cryptocompare", ["*/USD"], index, markets) == ("BTC/USD", "ETH/USD")
    assert select_pairs("cryptocompare", ["ETH/USD", "BTC/*:Coinbase"], index, markets) == (
        "ETH/USD", "BTC/EUR:Coinbase", "BTC/USD:Coinbase",
    )  # fmt: skip
    assert select_pairs("cryptocompare", ["BTC/LTL"], index, markets) == ("BTC/LTL",), (
        "by its name, although it is not traded"
    )
    assert [pair.symbol for pair, traded in index.items() if not traded] == ["BTC/LTL"]
    assert pair_of(SYMBOL) == Pair("Coinbase", "BTC", "USD")
    assert pair_of(SYMBOL).symbol == SYMBOL
    with pytest.raises(InvalidFeedInput, match=r"'BTC/USD:Coinbse'; near matches: BTC/USD:Coinbase"):
        select_pairs("cryptocompare", ["BTC/USD:Coinbse"], index, markets)


LIMITED = {
    "Response": "Error", "Message": "You are over your rate limit please upgrade your account!", "Type": 99, "Data": {},
    "RateLimit": {"calls_made": {"second": 5, "minute": 300}, "max_calls": {"second": 20, "minute": 300}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "after", "answer", "kind", "words"),
    [
        (
            401,
            None,
            {"Data": {}, "Err": {"type": 2, "message": "API key required"}},
            InvalidFeedInput,
            "API key required",
        ),
        (200, None, {"Response": "Error", "Message": "You need a valid key", "Type": 1}, InvalidFeedInput, "valid key"),
        (
            200,
            None,
            {"Response": "Error", "Message": "e param", "Type": 2, "Data": {}},
            ExchangeRequestFailed,
            "e param",
        ),
        (200, None, LIMITED, ExchangeUnreachable, "over your rate limit"),
        (429, 7.0, {}, ExchangeUnreachable, "too many requests"),
        (503, None, "oops", ExchangeUnreachable, "503"),
        (200, None, [1, 2], ExchangeRequestFailed, r"\[1,2\]"),
    ],
)
def test_error_responses(status: int, after: float | None, answer: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        parse_response("/data/v2/histominute", "Data", status, after, msgspec.json.encode(answer))
    if answer is LIMITED:
        assert isinstance(raised.value, ExchangeUnreachable) and raised.value.retry_after == 20.0
    if status == 429:
        assert isinstance(raised.value, ExchangeUnreachable) and raised.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("401", "UNAUTHORIZED", InvalidFeedInput),
        ("429", "RATE_LIMIT_OPENING_SOCKETS_TOO_FAST", ExchangeUnreachable),
        ("429", "TOO_MANY_SOCKETS_MAX_1_PER_CLIENT", ExchangeUnreachable),
        ("429", "TOO_MANY_SUBSCRIPTIONS_MAX_300_PER_SOCKET", InvalidFeedInput),
        ("500", "INVALID_SUB", InvalidFeedInput),
        ("500", "FORCE_DISCONNECT", SubscriptionLost),
        ("500", "INVALID_JSON", ExchangeRequestFailed),
    ],
)
def test_error_messages_of_the_websocket(kind: str, message: str, error: type[Exception]) -> None:
    fault = translate_error(kind, {"TYPE": kind, "MESSAGE": message, "INFO": "why"})
    assert type(fault) is error
    assert f"{message} why" in str(fault)
    assert translate_error("500", {"MESSAGE": "SUBSCRIPTION_ALREADY_ACTIVE"}) is None
