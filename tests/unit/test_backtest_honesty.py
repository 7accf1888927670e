"""Checks of strategies that are known to cheat, and of ones that are known not to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from tapedeck_backtest.bars.columns import BarColumns
from tapedeck_backtest.bias_checks.checks import fail_if_biased
from tapedeck_backtest.bias_checks.look_ahead import look_ahead_findings
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.bias_checks.start_up import start_up_findings
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import Interrupted

MINUTE = 60_000
T0 = 1_522_800_000_000
BARS = 800


def walk(seed: int, count: int = BARS) -> BarColumns:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    event = T0 + MINUTE * np.arange(1, count + 1)
    top, bottom = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    return BarColumns(event=event, open=opened, high=top, low=bottom, close=close, volume=np.ones(count))


def lab(
    strategy: type[Any],
    warmup: int = 0,
    intervals: tuple[str, ...] = (),
    late: int = 0,
    pulse: Callable[[], None] = lambda: None,
    **params: Any,
) -> StrategyRerun:
    """``late`` bars of the second symbol are missing at its beginning."""
    data = {"store": {"exchange": "x", "symbols": ["A", "B"]}, "warmupBars": warmup, "intervals": list(intervals)}
    spec = BacktestSpec.model_validate({"strategy": {"module": "mine:Any"}, "data": data})
    behind = BarColumns(**{name: array[late:] for name, array in vars(walk(2)).items()})
    return StrategyRerun.over(spec, strategy, params, {"A": walk(1), "B": behind}, "1m", pulse)


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
            self.l.score.array[i] = self.data.array[i] - closes.mean()


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
    found = look_ahead_findings(lab(Peeks))
    closes = walk(1).close
    rises = [i for i in range(BARS - 1) if closes[i + 1] / closes[i] > 1.006]
    assert found[0].startswith(f"{format_ms(T0 + (rises[0] + 1) * MINUTE)}: buy 1 of A with all bars, no order")


def test_a_mean_of_all_bars_is_found() -> None:
    assert look_ahead_findings(lab(ByAll))


@pytest.mark.parametrize("name", BUILTINS)
def test_what_we_bring_along_does_not_look_ahead(name: str) -> None:
    assert look_ahead_findings(lab(BUILTINS[name])) == []


class Places(bt.Strategy):  # type: ignore[misc]
    """Orders on every tenth bar alike, but for a price that it has from the next one."""

    params = (("kind", bt.Order.Limit),)

    def next(self) -> None:
        line = self.data.low
        known = line.array[len(self.data)] if len(self.data) < len(line.array) else line[0]
        if len(self) % 10 == 0:
            limit = self.p.kind == bt.Order.StopLimit
            self.buy(self.data, 1, line[0] if limit else known, known if limit else None, self.p.kind)


@pytest.mark.parametrize("kind", [bt.Order.Limit, bt.Order.Stop, bt.Order.StopLimit])
def test_a_price_out_of_the_future_is_found(kind: int) -> None:
    found = look_ahead_findings(lab(Places, kind=kind))
    assert found
    lows, name = walk(1).low, bt.Order.ExecTypes[kind]
    for sentence in found:
        bar = next(i for i in range(BARS) if sentence.startswith(format_ms(T0 + (i + 1) * MINUTE)))
        assert bar % 10 == 9
        assert f"buy 1 of A ({name} " in sentence
        assert f"{lows[bar + 1]:g}) with all bars" in sentence
        assert f"{lows[bar]:g}) without later bars" in sentence


class Slow(bt.Strategy):  # type: ignore[misc]
    """An average that asks for a third of the bars, on a coarser feed of the symbol that comes late."""

    def __init__(self) -> None:
        self.mean, self.slow = bt.ind.SMA(self.data, period=270), bt.ind.EMA(self.datas[-1], period=5)

    def next(self) -> None:
        if self.data.close[0] > self.mean[0] and not self.position:
            self.buy(size=1)
        elif self.data.close[0] < self.mean[0] and self.position:
            self.close()


def test_too_few_bars_before_a_cut_are_no_look_ahead() -> None:
    tried = lab(Slow, intervals=("30m",), late=300)
    assert len(tried.run(0, int(tried.events[-1]))[0]) > 4
    assert look_ahead_findings(tried) == []


class Coarse(bt.Strategy):  # type: ignore[misc]
    def __init__(self) -> None:
        self.slow = bt.ind.EMA(self.datas[-1], period=5)


def test_an_indicator_of_coarser_bars_asks_for_as_many_more() -> None:
    (told,) = start_up_findings(lab(Coarse, intervals=("30m",)))
    assert told.startswith("slow (EMA: period=5).ema: differs by ")
    assert "after 180 bars" in told  # five of half an hour, and one that is cut


def test_a_check_is_alive_at_each_bar_and_ends_when_it_is_told_to() -> None:
    pulses: list[None] = []
    tried = lab(Smooth, pulse=lambda: pulses.append(None))
    tried.run(0, int(tried.events[-1]))
    assert len(pulses) >= BARS

    def asked_to_end() -> None:
        pulses.append(None)
        if len(pulses) > 3 * BARS:
            raise Interrupted("asked to end")

    with pytest.raises(Interrupted):
        look_ahead_findings(lab(Smooth, pulse=asked_to_end))


def test_a_memory_without_end_is_found_and_how_much_is_enough() -> None:
    found = start_up_findings(lab(Smooth, period=20))
    assert len(found) == 1
    assert found[0].startswith("slow (EMA: period=20).ema: differs by ")
    enough = int(found[0].rsplit("warmupBars: ", 1)[1].split()[0])
    closes = walk(1).close
    assert enough == next(n for n in (20, 40, 80, 160, 320) if ema_error(closes, n) <= 1e-4) > 20
    assert start_up_findings(lab(Smooth, warmup=enough, period=20)) == []


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
    assert "800 bars are too few" in start_up_findings(lab(Smooth, warmup=600))[0]


def test_a_check_that_fails_ends_the_run() -> None:
    with pytest.raises(RunFailed, match="checks: lookAhead:\n2018-") as failure:
        fail_if_biased(lab(Peeks), ["startUp", "lookAhead"])
    assert failure.value.reason == "LookAhead"
    fail_if_biased(lab(Smooth, period=20), ["lookAhead"])
