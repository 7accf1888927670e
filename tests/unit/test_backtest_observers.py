"""Strategies that trade at a bar's open, and what observers and analyzers show, beside stock Backtrader."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import pytest

from by_hand.backtrader import MINUTE, run_stock
from pods.engine import CASH, T0, assert_equal, columns_of, random_bars, run_engine
from tapedeck_backtest.bias_checks.look_ahead import look_ahead_findings
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.engine.analyzers import quiet_until
from tapedeck_backtest.engine.cerebro import batch_engine
from tapedeck_backtest.engine.observers import reads_observers
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report import analyses
from tapedeck_backtest.report.analyses import analyses_of
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.strategy_loader import open_hook_note
from tapedeck_crds.backtest import BacktestSpec

SERIES = {
    "one": lambda: {"A": random_bars("A", 1, 400)},
    "two": lambda: {"B": random_bars("B", 2, 400, missing=0.3, first=40), "A": random_bars("A", 3, 400, missing=0.1)},
}


def cheating(cerebro: bt.Cerebro) -> None:
    cerebro.p.cheat_on_open = True


def spec_of(**more: Any) -> BacktestSpec:
    chosen = {"strategy": {"module": "mine:Any"}, "data": {"replay": {"name": "r"}}, "broker": {"cash": CASH}}
    return BacktestSpec.model_validate(chosen | more)


class OpensOnly(bt.Strategy):  # type: ignore[misc]
    """Decides at the open, on indicators of the bar before, with every kind of order."""

    params = (("notes", None),)

    def __init__(self) -> None:
        self.averages = [bt.ind.SMA(data, period=9) for data in self.datas]

    def prenext_open(self) -> None:
        self.p.notes.append(("before", *map(len, self.datas)))

    def nextstart_open(self) -> None:
        self.p.notes.append(("first", *map(len, self.datas)))

    def next_open(self) -> None:
        self.p.notes.append(("open", *map(len, self.datas), *(average[0] for average in self.averages)))
        for data, average in zip(self.datas, self.averages, strict=True):
            held, opened = self.getposition(data).size, data.open[0]
            if not held and opened > average[0]:
                self.buy(data, size=3)
            elif not held and opened < average[0] * 0.998:
                self.sell(data, size=1, exectype=bt.Order.Limit, price=opened * 1.0005, valid=data.datetime.datetime())
            elif held and abs(opened / average[0] - 1) > 0.004:
                self.close(data)


@pytest.mark.parametrize("data", SERIES)
@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_orders_at_the_open_equal_stock(mode: str, data: str) -> None:
    series, notes, stock_notes = SERIES[data](), [], []  # type: ignore[var-annotated]
    stock = run_stock(OpensOnly, series, cash=CASH, commission_percent=0.1, setup=cheating, notes=stock_notes)
    assert len(stock.trades) > 5
    broker = {"commissionPercent": 0.1, "cheatOnOpen": True}
    assert_equal(stock, *run_engine(mode, OpensOnly, series, broker, notes=notes))
    assert list(map(repr, notes)) == list(map(repr, stock_notes))


def test_strategy_that_would_never_trade_is_told_of_cheat_on_open() -> None:
    class Both(OpensOnly):
        def next(self) -> None:
            pass

    with pytest.raises(RunFailed, match="cheatOnOpen: got false, expected true: OpensOnly has next_open and no next"):
        open_hook_note(OpensOnly, cheat_on_open=False)
    assert open_hook_note(OpensOnly, cheat_on_open=True) is None
    assert "next_open of Both is not called" in (open_hook_note(Both, cheat_on_open=False) or "")
    assert all(open_hook_note(each, cheat_on_open=False) is None for each in BUILTINS.values())


def test_no_order_at_the_open_during_warm_up() -> None:
    """The first bar that is measured is the first whose open is traded."""
    opened: list[int] = []

    class Opens(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            bt.ind.SMA(period=5)

        def nextstart_open(self) -> None:
            opened.append(-1)
            self.next_open()

        def next_open(self) -> None:
            opened.append(self.cerebro.event)

    bars = random_bars("A", 1, 30)
    begins = bars[12].ts + MINUTE
    spec = spec_of(broker={"cheatOnOpen": True})
    batch_engine(spec, quiet_until(Opens, begins), {}, {"A": columns_of(bars)}, "1m", {}).run()
    assert opened == [-1, *(bar.ts + MINUTE for bar in bars[12:])]


def test_order_at_the_open_is_no_look_ahead() -> None:
    """It belongs to the bar that opens, so that a run that ends with the bar before lacks nothing."""
    spec = spec_of(broker={"cheatOnOpen": True})
    rerun = StrategyRerun(
        spec, OpensOnly, {"notes": []}, {"A": columns_of(random_bars("A", 1, 150))}, "1m", {}, lambda: None
    )
    assert rerun.run(0, T0 * 2)[0], "no order was made, so the check proves nothing"
    assert look_ahead_findings(rerun) == []


class Watches(bt.Strategy):  # type: ignore[misc]
    """Trades a crossover, and reads its observers: the values of the step before."""

    params = (("notes", None),)

    def __init__(self) -> None:
        self.crossing = bt.ind.CrossOver(bt.ind.SMA(period=5), bt.ind.SMA(period=15))

    def next(self) -> None:
        broker = self.stats.broker
        self.p.notes.append((broker.value[0], broker.cash[0], broker.value[-1], len(broker)))
        trades = getattr(self.stats, "trades", None) or self.stats.datatrades
        self.p.notes.append([line[0] for line in trades.lines])
        self.p.notes.append([(buysell.buy[0], buysell.sell[0]) for buysell in self.stats.buysell if len(buysell)])
        if self.crossing[0] > 0:
            self.order_target_size(target=20)
        elif self.crossing[0] < 0:
            self.order_target_size(target=-5)


@pytest.mark.parametrize("data", SERIES)
def test_standard_observers_equal_stock(data: str) -> None:
    series, notes, stock_notes = SERIES[data](), [], []  # type: ignore[var-annotated]
    stock = run_stock(Watches, series, cash=CASH, notes=stock_notes)
    assert len(stock.trades) > 5
    assert_equal(stock, *run_engine("batch", Watches, series, {}, notes=notes))
    assert list(map(repr, notes)) == list(map(repr, stock_notes))


def test_observers_of_a_stream_equal_those_of_a_range() -> None:
    found: dict[str, list[Any]] = {"batch": [], "stream": []}
    for mode, notes in found.items():
        run_engine(mode, Watches, SERIES["one"](), {}, notes=notes)
    assert repr(found["batch"]) == repr(found["stream"])


def test_observers_cost_nothing_where_none_reads_them() -> None:
    assert reads_observers(Watches)
    assert reads_observers(quiet_until(Watches, T0))
    assert not any(map(reads_observers, BUILTINS.values()))


class Deepest(bt.Analyzer):  # type: ignore[misc]
    """An analyzer of the user: keys that are no text, values that are no number."""

    def start(self) -> None:
        self.rets = {1: float("nan"), "when": bt.num2date(737_000.5), "who": self}


NAMED = {"observers": ["DrawDown", "BuySell"], "analyzers": ["TradeAnalyzer", "Deepest", "TimeReturn"]}


def test_results_of_observers_and_analyzers_are_kept() -> None:
    bars = random_bars("A", 1, 600)
    engines: list[bt.Cerebro] = []

    def with_observers(cerebro: bt.Cerebro) -> None:
        cerebro.addobserver(bt.observers.DrawDown)
        cerebro.addanalyzer(bt.analyzers.TradeAnalyzer)
        cerebro.addanalyzer(bt.analyzers.TimeReturn)
        engines.append(cerebro)

    run_stock(Watches, {"A": bars}, cash=CASH, setup=with_observers, notes=[])
    stock = engines[0].runstrats[0][0]
    spec = spec_of(**NAMED)
    strategy = batch_engine(spec, Watches, {"notes": []}, {"A": columns_of(bars)}, "1m", {}).run()[0]
    begins = bars[50].ts + MINUTE
    observers, analyzers = (
        [bt.observers.DrawDown, bt.observers.BuySell],
        [bt.analyzers.TradeAnalyzer, Deepest, bt.analyzers.TimeReturn],
    )
    events = [bar.ts + MINUTE for bar in bars[50:]]
    kept, notes = analyses_of(strategy, observers, analyzers, events)
    assert notes == []
    trades = stock.analyzers.tradeanalyzer.get_analysis()
    assert kept.analyzers["TradeAnalyzer"]["total"] == dict(trades.total)
    assert kept.analyzers["TradeAnalyzer"]["pnl"]["net"] == dict(trades.pnl.net)
    assert kept.analyzers["Deepest"] == {
        "1": None,
        "when": "2018-11-02T12:00:00",
        "who": str(strategy.analyzers.deepest),
    }
    assert list(kept.analyzers["TimeReturn"].values()) == list(stock.analyzers.timereturn.get_analysis().values())
    drawdown = stock.stats.drawdown.lines.drawdown.array
    assert kept.observers["DrawDown"]["drawdown"] == [
        [bar.ts + MINUTE, value] for bar, value in zip(bars, drawdown, strict=False) if bar.ts + MINUTE >= begins
    ]
    bought = [price for _, price in kept.observers["BuySell"]["A"]["buy"]]
    stock_bought = stock.stats.buysell[0].lines.buy.array[: len(bars)]
    assert bought == [
        price for bar, price in zip(bars, stock_bought, strict=True) if price == price and bar.ts + MINUTE >= begins
    ]


def test_results_that_are_too_large_are_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyses, "BYTES_MAX", 1_000)
    spec, bars = spec_of(analyzers=["Transactions", "Deepest"]), random_bars("A", 1, 600)
    strategy = batch_engine(spec, Watches, {"notes": []}, {"A": columns_of(bars)}, "1m", {}).run()[0]
    kept, notes = analyses_of(strategy, [], [bt.analyzers.Transactions, Deepest], [])
    assert list(kept.analyzers) == ["Deepest"]
    assert [note.partition(":")[0] + note.partition(":")[2][:13] for note in notes] == ["analyzers Transactions"]


@pytest.mark.parametrize(
    ("field", "name", "expected"),
    [
        (
            "observers",
            "Drawdown",
            "observers: got 'Drawdown', expected a backtrader.Observer of ",
        ),
        (
            "analyzers",
            "Watches",
            "analyzers: got 'Watches', expected a backtrader.Analyzer of ",
        ),
        ("analyzers", "backtrader.observers:Broker", "expected a backtrader.Analyzer of backtrader.observers; "),
    ],
)
def test_unknown_classes_are_rejected_by_name(field: str, name: str, expected: str) -> None:
    with pytest.raises(RunFailed, match=expected) as failure:
        batch_engine(spec_of(**{field: [name]}), Watches, {}, {"A": columns_of(random_bars("A", 1, 9))}, "1m", {})
    assert failure.value.reason == "BadSpec"
