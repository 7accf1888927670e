"""Strategies that Tapedeck brings along, by the name under which a Backtest asks for them."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest.strategies.buy_and_hold import BuyAndHold
from tapedeck_backtest.strategies.sma_cross import SmaCross

BUILTINS: dict[str, type[Any]] = {"sma-cross": SmaCross, "buy-and-hold": BuyAndHold}
