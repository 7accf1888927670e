"""Bias checks of strategies that are biased, and of strategies that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bias_checks.checks import fail_if_biased
from tapedeck_backtest.bias_checks.look_ahead import look_ahead_findings
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.bias_checks.start_up import start_up_findings
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.error_boundary import BarTimeout
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.base import format_ms

pytestmark = pytest.mark.slow

MINUTE = 60_000
T0 = 1_522_800_000_000
BARS = 800


def walk(seed: int, count: int = BARS) -> BarArrays:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    event = T0 + MINUTE * np.arange(1, count + 1)
    top, bottom = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    return BarArrays(event=event, open=opened, high=top, low=bottom, close=close, volume=np.ones(count))


def rerun(
    strategy: type[Any],
    warmup: int = 0,
    intervals: tuple[str, ...] = (),
    late: int = 0,
    heartbeat: Callable[[], None] = lambda: None,
    **params: Any,
) -> StrategyRerun:
    """The first ``late`` bars of the second symbol are missing."""
    data = {"store": {"exchange": "x", "symbols": ["A", "B"]}, "warmupBars": warmup, "intervals": list(intervals)}
    spec = BacktestSpec.model_validate({"strategy": {"module": "mine:Any"}, "data": data})
    behind = BarArrays(**{name: array[late:] for name, array in vars(walk(2)).items()})
    return StrategyRerun.over(spec, strategy, params, {"A": walk(1), "B": behind}, "1m", {}, heartbeat)


class Peeks(bt.Strategy):  # type: ignore[misc]
    """Buys before a rise: it reads the next bar's close if there is one."""

    def next(self) -> None:
        line = self.data.close
        rises = line.array[len(self.data)] / line[0] > 1.006 if len(self.data) < len(line.array) else False
        if rises and not self.position:
            self.buy(size=1)
        elif self.position:
            self.close()


class Normalised(bt.Indicator):  # type: ignore[misc]
    """The close minus the mean of all closes, future ones included: a common mistake."""

    lines = ("score",)

    def once(self, start: int, end: int) -> None:
        closes = np.array(self.data.array[start:end])
        for i in range(start, end):
            self.l.score.array[i] = self.data.array[i] - closes.mean()


class TradesNormalised(bt.Strategy):  # type: ignore[misc]
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


def test_reading_the_next_bar_is_reported_with_its_bar() -> None:
    findings = look_ahead_findings(rerun(Peeks))
    closes = walk(1).close
    rises = [i for i in range(BARS - 1) if closes[i + 1] / closes[i] > 1.006]
    assert findings[0].startswith(f"{format_ms(T0 + (rises[0] + 1) * MINUTE)}: buy 1 of A with all bars, no order")


def test_mean_of_all_bars_is_found() -> None:
    assert look_ahead_findings(rerun(TradesNormalised))


@pytest.mark.parametrize("name", BUILTINS)
def test_builtins_do_not_look_ahead(name: str) -> None:
    assert look_ahead_findings(rerun(BUILTINS[name])) == []


class PricesFromNextBar(bt.Strategy):  # type: ignore[misc]
    """Places the same order on every tenth bar, at a price of the next bar."""

    params = (("kind", bt.Order.Limit),)

    def next(self) -> None:
        line = self.data.low
        next_low = line.array[len(self.data)] if len(self.data) < len(line.array) else line[0]
        if len(self) % 10 == 0:
            limit = self.p.kind == bt.Order.StopLimit
            self.buy(self.data, 1, line[0] if limit else next_low, next_low if limit else None, self.p.kind)


@pytest.mark.parametrize("kind", [bt.Order.Limit, bt.Order.Stop, bt.Order.StopLimit])
def test_price_of_a_later_bar_is_found(kind: int) -> None:
    findings = look_ahead_findings(rerun(PricesFromNextBar, kind=kind))
    assert findings
    lows, name = walk(1).low, bt.Order.ExecTypes[kind]
    for sentence in findings:
        bar = next(i for i in range(BARS) if sentence.startswith(format_ms(T0 + (i + 1) * MINUTE)))
        assert bar % 10 == 9
        assert f"buy 1 of A ({name} " in sentence
        assert f"{lows[bar + 1]:g}) with all bars" in sentence
        assert f"{lows[bar]:g}) without later bars" in sentence


class Slow(bt.Strategy):  # type: ignore[misc]
    """Needs a third of the bars, and a resampled feed of the symbol that starts late."""

    def __init__(self) -> None:
        self.mean, self.slow = bt.ind.SMA(self.data, period=270), bt.ind.EMA(self.datas[-1], period=5)

    def next(self) -> None:
        if self.data.close[0] > self.mean[0] and not self.position:
            self.buy(size=1)
        elif self.data.close[0] < self.mean[0] and self.position:
            self.close()


def test_too_few_bars_before_a_cut_are_no_finding() -> None:
    strategy_rerun = rerun(Slow, intervals=("30m",), late=300)
    assert len(strategy_rerun.run(0, int(strategy_rerun.events[-1]))[0]) > 4
    assert look_ahead_findings(strategy_rerun) == []


class Coarse(bt.Strategy):  # type: ignore[misc]
    def __init__(self) -> None:
        self.slow = bt.ind.EMA(self.datas[-1], period=5)


def test_minimum_period_of_a_resampled_feed_counts_fine_bars() -> None:
    (finding,) = start_up_findings(rerun(Coarse, intervals=("30m",)))
    assert finding.startswith("slow (EMA: period=5).ema: differs by ")
    assert "after 180 bars" in finding  # five bars of half an hour, and an incomplete one


def test_check_sends_heartbeats_and_ends_with_its_time_limit() -> None:
    heartbeats: list[None] = []
    strategy_rerun = rerun(Smooth, heartbeat=lambda: heartbeats.append(None))
    strategy_rerun.run(0, int(strategy_rerun.events[-1]))
    assert len(heartbeats) >= BARS

    def interrupt() -> None:
        heartbeats.append(None)
        if len(heartbeats) > 3 * BARS:
            raise BarTimeout("stop")

    with pytest.raises(BarTimeout):
        look_ahead_findings(rerun(Smooth, heartbeat=interrupt))


def test_recursive_indicator_is_found_with_a_sufficient_warm_up() -> None:
    findings = start_up_findings(rerun(Smooth, period=20))
    assert len(findings) == 1
    assert findings[0].startswith("slow (EMA: period=20).ema: differs by ")
    sufficient = int(findings[0].rsplit("warmupBars: ", 1)[1].split()[0])
    closes = walk(1).close
    assert sufficient == next(n for n in (20, 40, 80, 160, 320) if ema_error(closes, n) <= 1e-4) > 20
    assert start_up_findings(rerun(Smooth, warmup=sufficient, period=20)) == []


def ema_error(closes: np.typing.NDArray[np.float64], bars: int) -> float:
    """Relative error after ``bars`` of an EMA over 20 that is seeded with the mean of its first 20."""

    def ema(values: np.typing.NDArray[np.float64]) -> float:
        value = float(np.mean(values[:20]))
        for close in values[20:]:
            value += (float(close) - value) * 2 / 21
        return value

    return max(
        abs(ema(closes[end - bars : end]) / ema(closes[:end]) - 1) for end in (BARS, BARS * 8 // 10, BARS * 6 // 10)
    )


def test_too_few_bars_to_compare() -> None:
    assert "800 bars are too few" in start_up_findings(rerun(Smooth, warmup=600))[0]


def test_failed_check_fails_the_run() -> None:
    with pytest.raises(RunFailed, match="checks: lookAhead:\n2018-") as failure:
        fail_if_biased(rerun(Peeks), ["startUp", "lookAhead"])
    assert failure.value.reason == "LookAhead"
    fail_if_biased(rerun(Smooth, period=20), ["lookAhead"])


class Operations(bt.Strategy):  # type: ignore[misc]
    """Earlier values of a line, and lines that are computed from lines: they depend on no more bars than they name."""

    def __init__(self) -> None:
        self.before = self.data.close(-1)
        self.spread = self.data.high - self.data.low
        self.rises = self.data.close > self.before
        self.highest = bt.ind.Highest(self.data.high(-1), period=5)

    def next(self) -> None:
        if not self.position and self.data.close[0] > self.highest[0]:
            self.buy(size=1)


class Sums(bt.Strategy):  # type: ignore[misc]
    """A line that is computed from one which depends on all bars before."""

    def __init__(self) -> None:
        self.distance = self.data.close - bt.ind.ExponentialMovingAverage(self.data.close, period=100)


def test_operations_on_lines_are_compared_like_indicators() -> None:
    assert start_up_findings(rerun(Operations)) == []
    names = [finding.split(":")[0] for finding in start_up_findings(rerun(Sums))]
    assert [name for name in names if name.startswith("distance ")] == ["distance (LinesOperation).result"]
