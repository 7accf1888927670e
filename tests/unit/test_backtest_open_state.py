"""What is open at a run's end, and a ruined account: computed by hand from stock Backtrader's fills."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import pytest

from by_hand.backtrader import MINUTE, run_stock
from pods.engine import CASH, T0, columns_of, random_bars, run_engine
from tapedeck_backtest.engine.analyzers import GuardedAnalyzer
from tapedeck_backtest.engine.cerebro import batch_engine
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.end_notes import end_notes, is_bust
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.sweep.ranking import is_feasible
from tapedeck_common.market import Bar
from tapedeck_common.records import RunOrder, RunPosition
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.sweep import Sweep


class LeavesOpen(bt.Strategy):  # type: ignore[misc]
    """One closed trade, a position that grows, a limit that is never reached, and an order on the last bar."""

    def next(self) -> None:
        match len(self):
            case 10:
                self.buy(size=2)
            case 20:
                self.close()
            case 30 | 50:
                self.buy(size=3)
            case 40:
                self.buy(size=1, exectype=bt.Order.Limit, price=1.0, reason="a crash")
            case 200:
                self.sell(size=1)


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_positions_and_orders_at_the_end(mode: str) -> None:
    bars = random_bars("A", 4, 200)
    stock = run_stock(LeavesOpen, {"A": bars}, cash=CASH)
    held = [(size, price) for _, _, size, price in stock.fills[2:]]
    assert [size for size, _ in held] == [3, 3]
    average = sum(size * price for size, price in held) / 6
    unrealised = sum(size * (bars[-1].close - price) for size, price in held)
    results, _ = run_engine(mode, LeavesOpen, {"A": bars}, {})
    (position,) = results.positions()
    assert (position.symbol, position.size, position.close) == ("A", 6, bars[-1].close)
    assert (position.price, position.unrealised) == pytest.approx((average, unrealised))
    assert results.orders() == [
        RunOrder("A", bars[39].ts + MINUTE, "buy", "Limit", 1, 1.0, "a crash"),
        RunOrder("A", bars[199].ts + MINUTE, "sell", "Market", 1, None, ""),
    ]
    figures = results.summary()
    assert (figures["open_positions"], figures["open_orders"], figures["trades"]) == (1, 2, 1)
    assert figures["unrealised_profit"] == pytest.approx(unrealised)
    # The account's result is that of the closed trades and the open positions.
    assert stock.final - CASH == pytest.approx(sum(net for *_, net in stock.trades) + unrealised)
    assert end_notes(figures) == [
        f"1 open position at the end, unrealised profit {unrealised:+.2f}",
        "win rate and profit factor count the 1 closed trade alone",
        "2 orders never filled",
    ]


class SellsShort(bt.Strategy):  # type: ignore[misc]
    """Short of far more than it can pay back, with a trade that was closed at a profit before."""

    def next(self) -> None:
        if len(self) == 1:
            self.buy(size=1)
        elif len(self) == 3:
            self.close()
        elif len(self) == 6:
            self.sell(size=500)


def rising(count: int) -> list[Bar]:
    prices = [100.0 * 1.01**i for i in range(count)]
    return [Bar("x", "A", "1m", T0 + i * MINUTE, p, p, p, p, 1.0) for i, p in enumerate(prices)]


def test_ruined_account_is_said_though_its_ratios_look_fine() -> None:
    bars = rising(60)
    stock = run_stock(SellsShort, {"A": bars}, cash=CASH)
    results, _ = run_engine("batch", SellsShort, {"A": bars}, {})
    figures = results.summary()
    assert figures["win_rate_percent"] == 100.0
    lowest = min(value for _, value in stock.equity)
    assert lowest < 0
    assert figures["lowest_value"] == lowest
    assert is_bust(figures)
    assert end_notes(figures)[0] == f"Bust: the account's value fell to {lowest:.2f}"
    progress = RunProgress("run", state="running", summary=figures)
    assert (progress.report().state, progress.report().reason) == ("running", "")
    progress.complete()
    report = progress.report()
    assert (report.state, report.reason, report.lowest_value) == ("complete", "Bust", lowest)
    assert (report.open_positions, report.open_orders) == (1, 0)
    assert report.message.startswith("Bust: the account's value fell to -")
    sweep = Sweep.model_validate({"params": [{"name": "n", "values": [1]}], "objective": {"metric": "winRatePercent"}})
    assert not is_feasible(sweep, figures)
    assert is_feasible(sweep, figures | {"lowest_value": 1.0})


class BuysTooMuch(bt.Strategy):  # type: ignore[misc]
    """Two orders that the cash does not cover."""

    def next(self) -> None:
        if len(self) in (5, 6):
            self.buy(size=1e9)


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_rejected_orders_are_said(mode: str) -> None:
    results, _ = run_engine(mode, BuysTooMuch, {"A": random_bars("A", 4, 50)}, {})
    assert end_notes(results.summary()) == ["2 orders rejected"]


def test_run_that_ends_flat_says_nothing() -> None:
    results, _ = run_engine("batch", SellsShort, {"A": rising(5)}, {})
    figures = results.summary()
    assert (figures["trades"], figures["open_positions"], figures["open_orders"]) == (1, 0, 0)
    assert (figures["unrealised_profit"], results.positions(), end_notes(figures)) == (0.0, [], [])


def test_order_without_a_number_on_the_last_bar_fails_the_run() -> None:
    """Backtrader notifies of it with the next bar, which does not come."""

    class Late(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if len(self) == 5:
                self.buy(size=float("nan"))

    spec: dict[str, Any] = {"strategy": {"module": "mine:Late"}, "data": {"replay": {"name": "r"}}}
    engine = batch_engine(BacktestSpec.model_validate(spec), Late, {}, {"A": columns_of(rising(5))}, "1m", {})
    engine.addanalyzer(GuardedAnalyzer, results=Results("r", CASH, MINUTE, None))
    with pytest.raises(RunFailed, match="got buy nan of A at") as failure:
        engine.run()
    assert failure.value.reason == "NotANumber"


def test_position_without_a_close_is_no_number() -> None:
    results = Results("r", CASH, MINUTE, None)
    results.positions = lambda: [RunPosition("A", 1.0, 2.0, None, None), RunPosition("B", 1.0, 2.0, 3.0, 1.0)]
    assert results.summary()["unrealised_profit"] is None
    assert end_notes(results.summary()) == ["2 open positions at the end"]
