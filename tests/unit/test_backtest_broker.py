"""The simulated broker against stock Backtrader with the same settings, and against amounts computed by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import backtrader as bt
import pytest

from by_hand.backtrader import MINUTE, run_stock
from pods.engine import CASH, T0, ManyOrders, assert_equal, random_bars, run_engine
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar
from tapedeck_common.records import ResultRecord, RunFill, RunTrade

pytestmark = pytest.mark.slow

Setup = Callable[[bt.Cerebro], None]


class EveryKind(bt.Strategy):  # type: ignore[misc]
    """Random orders of every kind: limit, stop, trailing, expiring, OCO, bracket, cancelled."""

    params = (("seed", 0),)

    def __init__(self) -> None:
        self.rng = random.Random(self.p.seed)
        self.live: list[Any] = []
        self.done: set[int] = set()

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            self.done.add(order.exectype)

    def next(self) -> None:
        data = self.rng.choice(self.datas)
        if not len(data) or self.rng.random() < 0.6:
            return
        price, near = data.close[0], self.rng.uniform(-0.003, 0.003)
        side = self.rng.choice((self.buy, self.sell))
        sign = 1 if side == self.buy else -1
        size = self.rng.choice((None, 0.5, 1.25))
        valid = self.rng.choice((None, timedelta(minutes=5), timedelta()))
        kind = self.rng.randrange(9)
        if kind < 4:
            at = {
                0: {},
                1: {"exectype": bt.Order.Close},
                2: {"exectype": bt.Order.Limit, "price": price * (1 + near)},
                3: {"exectype": bt.Order.Stop, "price": price * (1 + sign * abs(near))},
            }[kind]
            order = side(data, size=size, valid=valid if kind != 1 else None, **at)
        elif kind == 4:
            trigger = price * (1 + sign * abs(near))
            order = side(data, size=size, exectype=bt.Order.StopLimit, price=trigger, plimit=price * (1 + near))
        elif kind == 5:
            order = side(data, size=size, exectype=bt.Order.StopTrail, trailpercent=0.002)
        elif kind == 6:
            order = side(data, size=size, exectype=bt.Order.StopTrailLimit, trailamount=0.2, price=price, plimit=price)
        elif kind == 7:
            first = side(data, size=size, exectype=bt.Order.Limit, price=price * (1 - sign * abs(near)))
            order = side(data, size=size, exectype=bt.Order.Stop, price=price * (1 + sign * abs(near)), oco=first)
        else:
            self.buy_bracket(data, size=1, price=price, stopprice=price * 0.998, limitprice=price * 1.002)
            order = self.close(data) if self.rng.random() < 0.5 else None
        if order is not None and kind != 1:  # orders at the close wait for the end of the session
            self.live.append(order)
        if len(self.live) > 3:
            self.cancel(self.live.pop(0))


class MoneyFor(bt.Sizer):  # type: ignore[misc]
    """A sizer as in Backtrader's documentation: buys for ``money(broker)``, or closes the position."""

    params = (("money", None),)

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> float:
        position = self.strategy.getposition(data).size
        return float(position if position else self.p.money(self.broker) / data.close[0])


def sized(money: Callable[[Any], float]) -> Setup:
    return lambda cerebro: cerebro.addsizer(MoneyFor, money=money)


def brokered(name: str, *given: Any, **named: Any) -> Setup:
    return lambda cerebro: getattr(cerebro.broker, name)(*given, **named)


def all_of(setups: list[Setup]) -> Setup:
    def setup(cerebro: bt.Cerebro) -> None:
        for each in setups:
            each(cerebro)

    return setup


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], list[Setup]]] = {
    "free": ({}, {"fixed": 2}, [lambda c: c.addsizer(bt.sizers.FixedSize, stake=2)]),
    "percent": (
        {"commissionPercent": 0.25, "slippagePercent": 0.05},
        {"percent": 50, "whole": True},
        [
            brokered("setcommission", commission=0.0025),
            brokered("set_slippage_perc", 0.0005),
            lambda c: c.addsizer(bt.sizers.PercentSizerInt, percents=50),
        ],
    ),
    "per unit": (
        {"commissionPerUnit": 0.03, "slippageFixed": 0.04},
        {"amount": 700},
        [
            brokered("setcommission", commission=0.03, commtype=bt.CommInfoBase.COMM_FIXED, stocklike=True),
            brokered("set_slippage_fixed", 0.04),
            sized(lambda _: 700),
        ],
    ),
    "leverage": (
        {"commissionPercent": 0.1, "leverage": 4},
        {"valuePercent": 150},
        [
            brokered("setcommission", commission=0.001, leverage=4.0),
            sized(lambda broker: broker.getvalue() * 150 / 100),
        ],
    ),
    "at the close": (
        {"commissionPercent": 0.1, "fill": "close"},
        {"percent": 30},
        [
            brokered("setcommission", commission=0.001),
            brokered("set_coc", True),
            lambda c: c.addsizer(bt.sizers.PercentSizer, percents=30),
        ],
    ),
}


def fills(records: list[ResultRecord]) -> list[RunFill]:
    return [record for record in records if isinstance(record, RunFill)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SETTINGS)
def test_orders_of_every_kind_equal_stock(name: str, seed: int) -> None:
    broker, sizer, setups = SETTINGS[name]
    # across the end of a session, at which orders at the close fill
    series = {
        "A": random_bars("A", 10 + seed, first=1_200),
        "B": random_bars("B", 20 + seed, count=1_450, missing=0.2, first=1_250),
    }
    seen: list[Any] = []

    class Seen(EveryKind):
        def stop(self) -> None:
            seen.append(self.done)

    stock = run_stock(Seen, series, cash=CASH, setup=all_of(setups), seed=seed)
    assert len(stock.fills) > 50
    assert len(stock.trades) > 5
    for mode in ("batch", "stream"):
        assert_equal(stock, *run_engine(mode, Seen, series, broker, sizer, seed=seed))
    assert seen[0] == seen[1] == seen[2] == set(range(bt.Order.Historical)), "some kinds of orders were never filled"


@pytest.mark.parametrize("name", BUILTINS)
@pytest.mark.parametrize("settings", ["percent", "leverage"])
def test_builtins_equal_stock(name: str, settings: str) -> None:
    broker, sizer, setups = SETTINGS[settings]
    series = {"A": random_bars("A", 7, count=700)}
    stock = run_stock(BUILTINS[name], series, cash=CASH, setup=all_of(setups))
    assert stock.fills
    assert_equal(stock, *run_engine("batch", BUILTINS[name], series, broker, sizer))
    # none of them sells short, so forbidding it changes nothing
    assert_equal(stock, *run_engine("batch", BUILTINS[name], series, {**broker, "shorts": False}, sizer))


def test_fixed_commission_equals_stock() -> None:
    class Flat(bt.CommInfoBase):  # type: ignore[misc]
        params = (("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED))

        def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
            return 1.5

    series = {"A": random_bars("A", 5)}
    setup = brokered("addcommissioninfo", Flat())
    stock = run_stock(BUILTINS["sma-cross"], series, cash=CASH, setup=setup)
    assert_equal(stock, *run_engine("batch", BUILTINS["sma-cross"], series, {"commissionFixed": 1.5}))


def a_bar(minute: int, opened: float, high: float, low: float, close: float) -> Bar:
    return Bar("x", "A", "1m", T0 + minute * MINUTE, opened, high, low, close, 1.0)


def scripted(*script: Callable[[Any], Any]) -> type[Any]:
    """A strategy that calls the n-th function on its n-th bar."""

    class Scripted(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if len(self) <= len(script):
                script[len(self) - 1](self)

    return Scripted


def test_fixed_commission_is_charged_once_per_fill() -> None:
    """Also for an order that reverses the position, which Backtrader charges in two parts."""
    bars = [a_bar(i, 100, 101, 99, 100) for i in range(5)]
    strategy = scripted(lambda s: s.buy(size=1), lambda s: s.sell(size=3), lambda s: s.buy(size=2))
    broker = {"commissionFixed": 2, "commissionPerUnit": 0.5, "commissionPercent": 1}
    results, _ = run_engine("batch", strategy, {"A": bars}, broker)
    assert results.value[-1] == pytest.approx(CASH - 3 * 2 - 6 * 0.5 - 6 * 1.0)
    assert results.commission == pytest.approx(3 * 2 + 6 * 0.5 + 6 * 1.0)


def test_only_resting_orders_pay_the_maker_rate() -> None:
    limit = {"exectype": bt.Order.Limit}
    strategy = scripted(
        lambda s: s.buy(size=1, price=98, **limit),  # the third bar falls to it: maker
        lambda _: None,
        lambda s: s.sell(size=1, price=97, **limit),  # the fourth opens above it: taker, at 100
        lambda s: s.buy(size=1),  # taker, at 100
        lambda s: s.sell(size=1, exectype=bt.Order.StopLimit, price=95, plimit=96),  # stop at 95, back up to 96: maker
    )
    bars = [
        a_bar(0, 100, 101, 99, 100),
        a_bar(1, 100, 101, 99, 100),
        a_bar(2, 100, 101, 97, 99),
        a_bar(3, 100, 101, 99, 100),
        a_bar(4, 100, 101, 99, 100),
        a_bar(5, 100, 101, 94, 94.5),
        a_bar(6, 94.5, 98, 94, 97),
    ]
    results, records = run_engine("stream", strategy, {"A": bars}, {"commissionPercent": 1, "makerPercent": 0.1})
    assert [f.price for f in fills(records)] == [98, 100, 100, 96]
    assert results.commission == pytest.approx(0.098 + 1.0 + 1.0 + 0.096)
    assert [t.commission for t in records if isinstance(t, RunTrade)] == pytest.approx([1.098, 1.096])


@pytest.mark.parametrize("seed", range(3))
def test_no_short_position_unless_allowed(seed: int) -> None:
    series = {"A": random_bars("A", seed, count=500)}
    for strategy, params in ((ManyOrders, {}), (EveryKind, {"seed": seed})):
        results, records = run_engine("batch", strategy, series, {"shorts": False}, {"percent": 20}, **params)
        held, lowest = 0.0, 0.0
        for fill in fills(records):
            held += fill.size if fill.side == "buy" else -fill.size
            lowest = min(lowest, held)
        assert lowest > -1e-9
        assert results.rejected > 0


def test_rejected_sale_cancels_its_bracket_and_oco_order() -> None:
    seen: list[tuple[int, str]] = []

    class Brackets(bt.Strategy):  # type: ignore[misc]
        def notify_order(self, order: Any) -> None:
            seen.append((order.ref, order.getstatusname()))

        def next(self) -> None:
            if len(self) == 1:
                self.orders = self.sell_bracket(size=1, exectype=bt.Order.Market, stopprice=110, limitprice=90)
                first = self.sell(size=1)
                self.orders.append(self.sell(size=1, exectype=bt.Order.Limit, price=120, oco=first))

    run_engine("batch", Brackets, {"A": [a_bar(i, 100, 101, 99, 100) for i in range(4)]}, {"shorts": False})
    last = dict(seen)
    first = min(last)
    assert [last[first + i] for i in range(5)] == ["Rejected", "Canceled", "Canceled", "Rejected", "Canceled"]


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_market_orders_fill_at_the_next_open_not_on_the_signal_bar(mode: str) -> None:
    bars = random_bars("A", 4, count=400, missing=0.3)
    decision_bars: list[int] = []

    class RandomTrader(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if random.Random(len(self)).random() < 0.3 and len(self) < len(bars):
                decision_bars.append(len(self) - 1)
                self.close() if self.position else self.buy(size=1)

    _, records = run_engine(mode, RandomTrader, {"A": bars}, {})
    assert len(decision_bars) > 50
    assert [(f.ts, f.price) for f in fills(records)] == [
        (bars[i + 1].ts + MINUTE, bars[i + 1].open) for i in decision_bars
    ]


def test_trades_have_the_reasons_of_their_orders() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd\0 \ud800 " + "x" * 300

    strategy = scripted(
        lambda s: s.buy(size=1, reason="crossed"),
        lambda s: s.buy(size=1, reason="more"),  # the first order's reason is kept
        lambda s: s.sell(size=1, reason="less"),
        lambda s: s.sell(size=3, reason="turned"),  # closes one trade and opens another
        lambda s: s.buy(size=2, exectype=bt.Order.Stop, price=100.5),
        lambda s: s.buy(size=1, reason=Odd()),
        lambda s: s.close(),
        lambda _: None,
    )
    bars = [a_bar(i, 100, 101, 99, 100) for i in range(12)]
    _, records = run_engine("batch", strategy, {"A": bars}, {})
    trades = [(t.entry_reason, t.exit_reason) for t in records if isinstance(t, RunTrade)]
    assert trades[:2] == [("crossed", "turned"), ("turned", "Stop")]
    entry, leave = trades[2]
    assert (entry[:6], len(entry), leave) == ("odd ? ", 199, "")


class Oil(bt.Strategy):  # type: ignore[misc]
    """Buys below zero and sells above it."""

    def next(self) -> None:
        if len(self) == 1:
            self.buy()
        elif len(self) == 3:
            self.close()


def oil(*closes: float) -> dict[str, list[Bar]]:
    opens = [closes[0], *closes[:-1]]
    return {
        "CL": [
            Bar("x", "CL", "1m", T0 + i * MINUTE, o, max(o, c) + 9, min(o, c) - 9, c, 1)
            for i, (o, c) in enumerate(zip(opens, closes, strict=True))
        ]
    }


@pytest.mark.parametrize("mode", ["batch", "stream"])
@pytest.mark.parametrize("commission", [{}, {"makerPercent": 1}])
def test_prices_below_zero(mode: str, commission: dict[str, Any]) -> None:
    """WTI on 20 April 2020: a buyer of 10 is paid 376.30, and costs are costs."""
    broker = {"commissionPercent": 1, "slippagePercent": 2, **commission}
    results, records = run_engine(mode, Oil, oil(-37.63, -36, -10, 5), broker, {"fixed": 10})
    bought, sold = (r for r in records if isinstance(r, RunFill))
    paid, received = -37.63 + 0.02 * 37.63, -10 - 0.02 * 10  # filled at the next open, slipped against the order
    assert (bought.side, sold.side) == ("buy", "sell")
    assert [bought.price, sold.price] == pytest.approx([paid, received])
    costs = 0.01 * 10 * (abs(paid) + abs(received))
    (trade,) = (r for r in records if isinstance(r, RunTrade))
    assert [trade.pnl, trade.commission] == pytest.approx([10 * (received - paid), costs])
    assert results.value[-1] == pytest.approx(CASH + 10 * (received - paid) - costs)


@pytest.mark.parametrize(
    ("sizer", "size"),
    [({"percent": 50}, CASH / 2 / 40), ({"valuePercent": 50}, CASH / 2 / 40), ({"amount": 100}, 2.5)],
)
def test_money_buys_as_much_below_zero(sizer: dict[str, Any], size: float) -> None:
    _, records = run_engine("batch", Oil, oil(-40, -40, -40, -40), {}, sizer)
    first, second = (r for r in records if isinstance(r, RunFill))
    assert (first.side, first.size, second.side, second.size) == ("buy", size, "sell", size)
    _, records = run_engine("batch", Oil, oil(0, 1, 1, 1), {}, sizer)
    assert not any(isinstance(r, RunFill) for r in records)
