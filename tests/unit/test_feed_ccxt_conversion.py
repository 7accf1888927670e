"""Price and amount steps from every precision mode of ccxt."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest

from tapedeck_feed.exchanges.ccxt.conversion import to_listing


@pytest.mark.parametrize(
    ("precision", "mode", "steps"),
    [
        ({"price": 0.05, "amount": 1e-8}, ccxt.TICK_SIZE, (0.05, 1e-8)),
        ({"price": 2, "amount": 0}, ccxt.DECIMAL_PLACES, (0.01, 1.0)),
        ({"price": 5, "amount": 8}, ccxt.SIGNIFICANT_DIGITS, (None, None)),
        ({"price": None}, ccxt.TICK_SIZE, (None, None)),
        ({"price": 0.0, "amount": float("inf")}, ccxt.TICK_SIZE, (None, None)),
        ({"price": "0.1", "amount": True}, ccxt.TICK_SIZE, (None, None)),
        (None, ccxt.TICK_SIZE, (None, None)),
    ],
)
def test_steps_follow_from_the_precision_mode(
    precision: Any, mode: int, steps: tuple[float | None, float | None]
) -> None:
    listing = to_listing("x", "BTC/USDT:USDT", {"precision": precision}, mode, 7)
    assert (listing.price_step, listing.amount_step) == steps
    assert (listing.base, listing.quote, listing.at) == ("BTC", "USDT", 7)


def test_base_and_quote_are_the_exchanges() -> None:
    listing = to_listing("x", "BTC/USD", {"base": "XBT", "quote": "ZUSD"}, ccxt.TICK_SIZE, 7)
    assert (listing.exchange, listing.symbol, listing.base, listing.quote) == ("x", "BTC/USD", "XBT", "ZUSD")
