"""The built-in strategies, by their names in a Backtest's spec."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest.strategies.bollinger import Bollinger
from tapedeck_backtest.strategies.buy_and_hold import BuyAndHold
from tapedeck_backtest.strategies.donchian import Donchian
from tapedeck_backtest.strategies.ema_cross import EmaCross
from tapedeck_backtest.strategies.macd import Macd
from tapedeck_backtest.strategies.rsi import Rsi
from tapedeck_backtest.strategies.sma_cross import SmaCross

BUILTINS: dict[str, type[Any]] = {
    "sma-cross": SmaCross,
    "ema-cross": EmaCross,
    "rsi": Rsi,
    "bollinger": Bollinger,
    "donchian": Donchian,
    "macd": Macd,
    "buy-and-hold": BuyAndHold,
}
