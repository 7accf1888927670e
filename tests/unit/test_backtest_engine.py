"""The engine's two loops against stock Backtrader over the same bars, trade by trade."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import backtrader as bt
import pytest

from by_hand.backtrader import MINUTE, run_stock
from pods.engine import CASH, ManyOrders, assert_equal, random_bars, run_engine
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar
from tapedeck_common.records import RunFill

pytestmark = pytest.mark.slow


def sample_bars(symbol: str) -> list[Bar]:
    """One day of the sample data, read from its zip."""
    name = f"{symbol.replace('/', '').lower()}_20180405.zip"
    bars: list[Bar] = []
    archive = next((Path(__file__).parents[2] / "examples" / "data").rglob(name))
    with zipfile.ZipFile(archive) as zipped:
        rows = csv.reader(io.TextIOWrapper(zipped.open(zipped.namelist()[0])))
        start = 1_522_886_400_000
        for since, *values in rows:
            opened, high, low, close, volume = map(float, values)
            bars.append(Bar("coinbase", symbol, "1m", start + int(since), opened, high, low, close, volume))
    return bars


STRATEGIES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "sma-cross": (BUILTINS["sma-cross"], {"fast": 10, "slow": 30}),
    "ema-cross": (BUILTINS["ema-cross"], {"fast": 5, "slow": 20}),
    "rsi": (BUILTINS["rsi"], {"lower": 35.0, "upper": 60.0}),
    "bollinger": (BUILTINS["bollinger"], {"deviations": 1.5}),
    "donchian": (BUILTINS["donchian"], {}),
    "macd": (BUILTINS["macd"], {}),
    "buy-and-hold": (BUILTINS["buy-and-hold"], {}),
    "many-orders": (ManyOrders, {"period": 7}),
}
SERIES = {
    "random": lambda: {"A": random_bars("A", 1)},
    "random-two": lambda: {"B": random_bars("B", 2, missing=0.3, first=40), "A": random_bars("A", 3, missing=0.1)},
    "sample": lambda: {"BTC/USD": sample_bars("BTC/USD")},
    "sample-two": lambda: {"BTC/USD": sample_bars("BTC/USD"), "LTC/USD": sample_bars("LTC/USD")},
}


BROKER = {"commissionPercent": 0.1, "slippagePercent": 0.01}
SIZER = {"percent": 95.0}
STOCK: dict[str, Any] = {"cash": CASH, "commission_percent": 0.1, "slippage_percent": 0.01, "percent": 95.0}


@pytest.mark.parametrize("data", SERIES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_equals_stock(name: str, data: str) -> None:
    strategy, params = STRATEGIES[name]
    series = SERIES[data]()
    stock = run_stock(strategy, series, **STOCK, **params)
    assert stock.fills, "nothing was traded, so the comparison proves nothing"
    hashes = set()
    for mode in ("batch", "stream"):
        results, records = run_engine(mode, strategy, series, BROKER, SIZER, **params)
        assert_equal(stock, results, records)
        hashes.add(results.trades_hash)
    assert len(hashes) == 1


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_buy_and_hold_return(mode: str) -> None:
    series = SERIES["random-two"]()
    results, _ = run_engine(mode, BUILTINS["sma-cross"], series, BROKER, SIZER)
    changes = [bars[-1].close / bars[0].close - 1 for bars in series.values()]
    assert results.summary()["buy_and_hold_percent"] == pytest.approx(50 * sum(changes))


class Slope(bt.Indicator):  # type: ignore[misc]
    """A user's indicator with ``next`` alone, on another indicator."""

    lines = ("slope",)

    def __init__(self) -> None:
        self.addminperiod(3)

    def next(self) -> None:
        self.l.slope[0] = self.data[0] - self.data[-2]


class Recorder(bt.Strategy):  # type: ignore[misc]
    """Has a line of its own, looks back, and records every notification."""

    lines = ("seen",)
    params = (("notes", None),)

    def __init__(self) -> None:
        self.average = bt.ind.EMA(self.data, period=6)
        self.slope = Slope(self.average)  # type: ignore[call-arg]  # Backtrader's metaclass consumes the data argument
        self.macd = bt.ind.MACDHisto(self.datas[-1])
        self.cross = bt.ind.CrossOver(self.macd.macd, self.macd.signal)
        close, opened = self.data.close, self.data.open
        self.others = [
            close(-2) > 100, 2 * close - opened, 1.0 / close, 3 - (close >= opened), (close - opened) ** 2,
            bt.And(close > opened, self.slope < 0.01), bt.And(close > opened, close > 90, 1.0),
            bt.Or(close > opened, self.slope > 0), bt.ind.SMA(self.slope, period=4),
            bt.ind.NonZeroDifference(close, opened), bt.ind.SMA(1 / (close - opened + 1e-9), period=3),
            bt.ind.WMA(self.average, period=5), bt.ind.ATR(period=5), bt.ind.Highest(self.slope, period=4),
        ]  # fmt: skip
        self.broker.setcommission(commission=0.001, leverage=3.0, name=self.data._name)

    def notify_fund(self, *figures: float) -> None:
        self.p.notes.append((len(self), self.broker.get_leverage(), *figures))

    def prenext(self) -> None:
        self.p.notes.append(("before", len(self), *map(len, self.datas)))

    def nextstart(self) -> None:
        self.p.notes.append(("first", len(self)))
        self.next()

    def next(self) -> None:
        self.l.seen[0] = self.average[0]
        lengths = [len(each) for each in (self.average, self.slope, self.macd, self.cross)]
        self.p.notes.append(
            (
                *lengths,
                *(each[0] for each in self.others),
                self.slope[0],
                self.l.seen[-1],
                self.macd.histo[0],
                self.datetime[-1],
            )
        )
        if self.cross[0] > 0:
            self.order_target_size(target=10)
        elif self.cross[0] < 0:
            self.order_target_size(target=-5)
        if len(self) == 700:
            self.broker.add_cash(500)


@pytest.mark.parametrize("data", ["random", "random-two"])
def test_notifications_equal_stock(data: str) -> None:
    series = SERIES[data]()
    notes: list[Any] = []
    stock_notes: list[Any] = []
    stock = run_stock(Recorder, series, cash=CASH, notes=stock_notes)
    results, records = run_engine("batch", Recorder, series, {}, notes=notes)
    assert len(stock.trades) > 10
    assert_equal(stock, results, records)
    # Compared as text, because a line without a value is NaN.
    assert list(map(repr, notes)) == list(map(repr, stock_notes))


class BuysEarly(bt.Strategy):  # type: ignore[misc]
    """Buys before its indicator has a value."""

    def __init__(self) -> None:
        self.ranges = [bt.ind.SMA(bt.ind.ATR(data, period=20), period=40) for data in self.datas]

    def prenext(self) -> None:
        if len(self.data) == 3:
            self.buy(size=1)


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_fewer_bars_than_the_minimum_period_are_no_error(mode: str) -> None:
    """Stock Backtrader raises IndexError there if it computes all values at once."""
    few, many = random_bars("B", 2, first=1_470), random_bars("A", 1)
    for series in ({"A": many[:10]}, {"A": many, "B": few}):
        results, records = run_engine(mode, BuysEarly, series, {})
        fills = [(r.ts, r.price) for r in records if isinstance(r, RunFill)]
        assert fills == [(many[3].ts + MINUTE, many[3].open)]
        assert len(results.ts) == len(series["A"])
        assert results.value[-1] == pytest.approx(CASH + series["A"][-1].close - many[3].open)
