"""Trades that an exchange sends without ids, from its own messages through ccxt.pro."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from endpoints import LOOPBACK
from tapedeck_common.market import Trade, trade_problem
from tapedeck_feed.exchanges.adapter import RecoveredTrades
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.history import CcxtHistory
from tapedeck_feed.exchanges.ccxt.websocket import TradeForwarder
from tapedeck_feed.exchanges.parsing import is_derived
from tapedeck_feed.live.trade_sequencer import ArbitraryIdSequencer

T0 = 1_721_743_391_398
WITHOUT_RESULT = SimpleNamespace(resolve=lambda *_: None)  # ccxt's connection, which only wakes waiting tasks
LBANK = {
    "volume": 6.3607,
    "amount": 77148.9303,
    "price": 12129,
    "direction": "sell_maker",
    "TS": "2024-07-23T14:03:11.398",
}
BITRUE = {"amount": "1666656191.2", "price": "66008.8", "side": "SELL", "ts": T0, "vol": "25249"}
BOOK = {
    "sequence": "1",
    "asks": [{"id": "ask-1", "price": "1647.10", "volume": "70"}],
    "bids": [{"id": "bid-1", "price": "1647.00", "volume": "70"}],
    "status": "ACTIVE",
    "timestamp": T0 - 5,
}


def luno(sequence: int, maker: str, base: str, counter: str) -> dict[str, Any]:
    update = {"base": base, "counter": counter, "maker_order_id": maker, "taker_order_id": "t", "order_id": maker}
    return {"sequence": str(sequence), "trade_updates": [update], "timestamp": T0, "create_update": None}


def client_of(exchange: str, market_id: str, symbol: str, **more: Any) -> CcxtClient:
    client = CcxtClient(exchange, {}, None, LOOPBACK)
    base, _, quote = symbol.partition(":")[0].partition("/")
    market = {"id": market_id, "symbol": symbol, "base": base, "quote": quote, "baseId": base, "quoteId": quote}
    precision = {"precision": {"price": 0.01, "amount": 0.0001}, "contractSize": 0.0001}
    client.api.set_markets([market | precision | {"type": "spot", "spot": True, "swap": False} | more])
    return client


def trades_of(exchange: str, messages: list[dict[str, Any]]) -> list[Trade]:
    """The trades that a subscription forwards for the messages."""
    found: list[Trade] = []
    if exchange == "bitrue":
        symbol = "BTC/USDT:USDT"
        client = client_of(exchange, "E-BTC-USDT", symbol, type="swap", spot=False, swap=True, contract=True)
    else:
        symbol = "BTC/USDT" if exchange == "lbank" else "ETH/EUR"
        client = client_of(exchange, "btc_usdt" if exchange == "lbank" else "ETHEUR", symbol)
    client.api.trades[symbol] = TradeForwarder(lambda row: found.append(client.to_trade(row["symbol"], row)))
    for message in messages:
        if exchange == "luno":
            client.api.handle_order_book(WITHOUT_RESULT, message, {"symbol": symbol})
            client.api.handle_trades(WITHOUT_RESULT, message, {"symbol": symbol})
        else:
            client.api.handle_trades(WITHOUT_RESULT, message)
    return found


@pytest.mark.parametrize(
    ("exchange", "messages", "expected"),
    [
        ("lbank", [{"pair": "btc_usdt", "type": "trade", "trade": LBANK}], [(T0, 12129.0, 6.3607, "buy")]),
        (
            "bitrue",
            [{"channel": "market_e_btcusdt_trade_ticker", "tick": {"data": [BITRUE]}}],
            [(T0, 66008.8, 2.5249, "sell")],
        ),
        (
            "luno",
            [BOOK, luno(2, "ask-1", "69", "113649.90"), luno(3, "bid-1", "0.5", "823.50")],
            [(T0, 1647.1, 69.0, "buy"), (T0, 1647.0, 0.5, "sell")],
        ),
    ],
)
def test_a_trade_without_an_id_is_taken(
    exchange: str, messages: list[dict[str, Any]], expected: list[tuple[int, float, float, str]]
) -> None:
    found = trades_of(exchange, messages)
    assert [(each.ts, each.price, each.amount, each.side) for each in found] == expected
    assert all(is_derived(each.id) and trade_problem(each) is None for each in found)
    assert [each.id for each in trades_of(exchange, messages)] == [each.id for each in found], "stable"


def test_repeats_of_a_trade_without_an_id_count_once() -> None:
    message = {"pair": "btc_usdt", "trade": LBANK}
    other = message | {"trade": LBANK | {"volume": 1.5}}
    sequencer = ArbitraryIdSequencer()
    out = [each for trade in trades_of("lbank", [message, message, other]) for each in sequencer.add(trade)]
    assert ([each.amount for each in out], sequencer.duplicates) == ([6.3607, 1.5], 1)


@pytest.mark.parametrize("overlaps", [True, False])
def test_trades_by_rest_are_used_only_if_they_have_the_values_of_the_websocket(overlaps: bool) -> None:
    """By REST LBank's trades have ids, which those of its websocket have not."""
    (last,) = trades_of("lbank", [{"pair": "btc_usdt", "trade": LBANK}])
    client = client_of("lbank", "btc_usdt", "BTC/USDT")
    rows = [
        {"id": "a", "time": T0 if overlaps else T0 + 1, "price": 12129, "qty": 6.3607, "tradeType": "buy"},
        {"id": "b", "time": T0 + 900, "price": 12130, "qty": 2, "tradeType": "sell"},
    ]

    async def fetch_trades(symbol: str, *_: Any) -> list[dict[str, Any]]:
        return [client.api.parse_trade(row, client.api.market(symbol)) | {"symbol": symbol} for row in rows]

    client.api.fetch_trades = fetch_trades
    found: RecoveredTrades = asyncio.run(CcxtHistory(client).fetch_trades_after("BTC/USDT", last))
    assert found.complete == overlaps
    assert [(each.ts, each.amount) for each in found.trades] == ([(T0 + 900, 2.0)] if overlaps else [])
