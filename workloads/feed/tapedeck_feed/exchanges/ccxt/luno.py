"""Luno's trades, whose messages have neither time, price nor side of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class LunoTrades:
    """A mixin before ccxt.pro's class for Luno, which parses a trade's amount alone.

    Time is that of the message, and price is the amount of the quote currency for one of the base. The side is the
    taker's: ccxt looks for the maker's order among the bids and asks of its book before it parses the trades.
    """

    _taker_sides: dict[str, str]  # by the maker's order, of the current message

    def reduce_order_volume(self: Any, order_side: Any, order_id: str, traded_amount: str) -> bool:
        """ccxt calls this with the book's side where the maker's order may be."""
        found: bool = super().reduce_order_volume(order_side, order_id, traded_amount)  # type: ignore[misc]
        if found:
            self._taker_sides[order_id] = "sell" if order_side.side else "buy"
        return found

    def handle_order_book(self: Any, client: Any, message: dict[str, Any], subscription: Any) -> None:
        """Notes the sides of the message's trades."""
        self._taker_sides = {}
        super().handle_order_book(client, message, subscription)  # type: ignore[misc]

    def handle_trades(self: Any, client: Any, message: dict[str, Any], subscription: Any) -> None:
        """Adds to each trade what the message and the book say of it."""
        for trade in message.get("trade_updates") or ():
            trade["timestamp"] = self.safe_integer(message, "timestamp")
            trade["side"] = self._taker_sides.get(trade.get("maker_order_id"))
        super().handle_trades(client, message, subscription)  # type: ignore[misc]

    def parse_trade(self: Any, trade: dict[str, Any], market: Any = None) -> dict[str, Any]:
        """ccxt's structure of a trade; ccxt.pro parses those of REST as if they were of the websocket."""
        from ccxt.async_support.luno import luno

        if "maker_order_id" not in trade:
            return dict(luno.parse_trade(self, trade, market))
        parsed: dict[str, Any] = super().parse_trade(trade, market)  # type: ignore[misc]
        price = float(Decimal(trade["counter"]) / Decimal(trade["base"]))
        return parsed | {"timestamp": trade["timestamp"], "side": trade["side"], "price": price}
