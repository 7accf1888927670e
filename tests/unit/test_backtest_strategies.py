"""The list of built-in strategies in the command line, and the params that they reject."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.engine.feeds import BatchFeed, feed_params
from tapedeck_backtest.strategies import BUILTINS

TAPEDECK = [sys.executable, "-c", "from tapedeck_deck.cli import main; main()"]


def test_command_lists_builtins_with_params_and_defaults() -> None:
    done = subprocess.run([*TAPEDECK, "strategies", "-o", "json"], capture_output=True, text=True, timeout=60)
    listed = {each["name"]: each for each in json.loads(done.stdout)}
    assert set(listed) == set(BUILTINS)
    assert listed["rsi"]["params"]["lower"] == {"type": "float", "default": 30.0}
    assert listed["buy-and-hold"]["params"] == {}
    shown = subprocess.run([*TAPEDECK, "strategies"], capture_output=True, text=True, timeout=60).stdout
    assert "donchian\n" in shown
    assert "    entry: 20 (int)\n" in shown


def columns(close: list[float]) -> BarArrays:
    prices = np.array(close)
    event = 60_000 * np.arange(1, len(close) + 1)
    return BarArrays(event=event, open=prices, high=prices, low=prices, close=prices, volume=prices)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("sma-cross", {"fast": 30, "slow": 10}, "fast, slow: got 30, 10"),
        ("ema-cross", {"fast": 0}, "fast, slow: got 0, 26"),
        ("macd", {"signal": 0}, "signal: got 0"),
        ("rsi", {"lower": 80.0}, "lower, upper: got 80.0, 70.0"),
        ("bollinger", {"period": 1}, "period: got 1"),
        ("donchian", {"exit": 0}, "entry, exit: got 20, 0"),
        ("sma-cross", {"fast": 2.5}, "fast: got 2.5, expected a whole number of bars"),
    ],
)
def test_invalid_params_are_rejected(name: str, params: dict[str, Any], expected: str) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BatchFeed(columns=columns([1.0, 2.0]), **feed_params("A", "1m")))
    cerebro.addstrategy(BUILTINS[name], **params)
    with pytest.raises(ValueError, match=expected):
        cerebro.run()


def test_donchian_enters_on_the_first_close_outside_the_previous_channel() -> None:
    bought: list[int] = []

    donchian: Any = BUILTINS["donchian"]

    class Recording(donchian):  # type: ignore[misc]
        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed and order.isbuy():
                bought.append(len(self))

    cerebro = bt.Cerebro(stdstats=False)
    # The channel's top is 10 for six bars. The seventh bar closes above it, so the order fills on the eighth.
    cerebro.adddata(BatchFeed(columns=columns([10, 9, 10, 9, 10, 10, 11, 12, 13]), **feed_params("A", "1m")))
    cerebro.addstrategy(Recording, entry=3, exit=2)
    cerebro.run()
    assert bought == [8]
