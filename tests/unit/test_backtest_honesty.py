"""Checks of strategies that are known to cheat, and of ones that are known not to."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import numpy as np
import pytest

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.feeds import Columns
from tapedeck_backtest.honesty.check import refuse_dishonest
from tapedeck_backtest.honesty.lab import Lab
from tapedeck_backtest.honesty.look_ahead import look_ahead
from tapedeck_backtest.honesty.start_up import start_up
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import format_ms

MINUTE = 60_000
T0 = 1_522_800_000_000
BARS = 800


def walk(seed: int, count: int = BARS) -> Columns:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    event = T0 + MINUTE * np.arange(1, count + 1)
    top, bottom = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    return Columns(event=event, open=opened, high=top, low=bottom, close=close, volume=np.ones(count))


def lab(strategy: type[Any], warmup: int = 0, **params: Any) -> Lab:
    spec = BacktestSpec.model_validate(
        {
            "strategy": {"builtin": "rsi"},
            "data": {"store": {"exchange": "x", "symbols": ["A", "B"]}, "warmupBars": warmup},
        }
    )
    return Lab.over(spec, strategy, params, {"A": walk(1), "B": walk(2)}, "1m", lambda: None)


class Peeks(bt.Strategy):  # type: ignore[misc]
    """Buys before a rise: it reads the next bar's close, where there is one."""

    def next(self) -> None:
        line = self.data.close
        rises = line.array[len(self.data)] / line[0] > 1.006 if len(self.data) < len(line.array) else False
        if rises and not self.position:
            self.buy(size=1)
        elif self.position:
            self.close()


class Normalised(bt.Indicator):  # type: ignore[misc]
    """The close by the mean of all closes, those to come among them: the usual mistake."""

    lines = ("score",)

    def once(self, start: int, end: int) -> None:
        closes = np.array(self.data.array[start:end])
        for i in range(start, end):
            self.lines.score.array[i] = self.data.array[i] - closes.mean()


class ByAll(bt.Strategy):  # type: ignore[misc]
    def __init__(self) -> None:
        self.score = Normalised(self.data.close)

    def next(self) -> None:
        if self.score[0] < 0 and not self.position:
            self.buy(size=1)
        elif self.score[0] > 0 and self.position:
            self.close()


class Smooth(bt.Strategy):  # type: ignore[misc]
    params = (("period", 20),)

    def __init__(self) -> None:
        self.slow = bt.ind.EMA(self.data.close, period=self.p.period)
        self.plain = bt.ind.SMA(self.data.close, period=self.p.period)

    def next(self) -> None:
        pass


def test_a_look_at_the_next_bar_is_reported_with_its_bar() -> None:
    found = look_ahead(lab(Peeks))
    closes = walk(1).close
    rises = [i for i in range(BARS - 1) if closes[i + 1] / closes[i] > 1.006]
    assert found[0].startswith(f"{format_ms(T0 + (rises[0] + 1) * MINUTE)}: buy 1 of A with all bars, no order")


def test_a_mean_of_all_bars_is_found() -> None:
    assert look_ahead(lab(ByAll))


@pytest.mark.parametrize("name", BUILTINS)
def test_what_we_bring_along_does_not_look_ahead(name: str) -> None:
    assert look_ahead(lab(BUILTINS[name])) == []


def test_a_memory_without_end_is_found_and_how_much_is_enough() -> None:
    found = start_up(lab(Smooth, period=20))
    assert len(found) == 1
    assert found[0].startswith("slow (EMA: period=20).ema: differs by ")
    enough = int(found[0].rsplit("warmupBars: ", 1)[1].split()[0])
    closes = walk(1).close
    assert enough == next(n for n in (20, 40, 80, 160, 320) if ema_error(closes, n) <= 1e-4) > 20
    assert start_up(lab(Smooth, warmup=enough, period=20)) == []


def ema_error(closes: np.typing.NDArray[np.float64], bars: int) -> float:
    """How far an EMA over 20 that begins with the mean of its first 20 is off after ``bars``."""

    def ema(values: np.typing.NDArray[np.float64]) -> float:
        value = float(np.mean(values[:20]))
        for close in values[20:]:
            value += (float(close) - value) * 2 / 21
        return value

    return max(
        abs(ema(closes[end - bars : end]) / ema(closes[:end]) - 1) for end in (BARS, BARS * 8 // 10, BARS * 6 // 10)
    )


def test_too_few_bars_to_say() -> None:
    assert "800 bars are too few" in start_up(lab(Smooth, warmup=600))[0]


def test_a_check_that_fails_ends_the_run() -> None:
    with pytest.raises(RunFailed, match="checks: lookAhead:\n2018-") as failure:
        refuse_dishonest(lab(Peeks), ["startUp", "lookAhead"])
    assert failure.value.reason == "LookAhead"
    refuse_dishonest(lab(Smooth, period=20), ["lookAhead"])
