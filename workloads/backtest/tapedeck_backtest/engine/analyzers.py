"""Backtrader analyzers that write fills, closed trades and the account's value to Results."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

import backtrader as bt

from tapedeck_backtest.bars.arrays import is_resampled
from tapedeck_backtest.engine.open_state import open_positions, reason_of, run_order, unfilled_orders
from tapedeck_backtest.report.nan_guard import check_order
from tapedeck_backtest.report.results import Results
from tapedeck_common.records import RunTrade


@dataclass
class _OpenTrade:
    """A trade while it is open: signed size, size opened in total, average exit price, and the orders' reasons.

    The sums are those of Backtrader's Trade, which does not keep the size that was opened.
    """

    size: float = 0.0
    opened: float = 0.0
    closed: float = 0.0
    exit_price: float = 0.0
    entry_reason: str = ""
    exit_reason: str = ""

    def update(self, size: float, price: float, reason: str) -> None:
        if self.size * size >= 0:
            self.entry_reason = self.entry_reason if self.opened else reason
            self.opened += abs(size)
        else:
            self.exit_reason = reason
            self.closed += abs(size)
            self.exit_price += (price - self.exit_price) * (abs(size) / self.closed)
        self.size += size


class ResultsAnalyzer(bt.Analyzer):  # type: ignore[misc]
    """Writes Backtrader's notifications to ``results``, its only param."""

    params = (("results", None),)

    def start(self) -> None:
        self._results: Results = self.p.results
        self._open: dict[tuple[Any, int], _OpenTrade] = defaultdict(_OpenTrade)
        self._closed: dict[tuple[Any, int], deque[_OpenTrade]] = defaultdict(deque)
        self._broker = self.strategy.broker
        self._first_closes: dict[Any, float] = {}
        self._without_bars = list(self.strategy.datas)
        self._results.closes = self._closes
        self._engine = self.strategy.cerebro
        self._results.positions = lambda: open_positions(self._broker)
        self._results.orders = lambda: [run_order(order) for order in unfilled_orders(self._broker)]

    def notify_order(self, order: Any) -> None:
        if order.status in (order.Margin, order.Rejected):
            self._results.rejected += 1
        data = order.data if order.data._compensate is None else order.data._compensate
        for bit in order.executed.iterpending():
            event = order.data.event_of(bit.dt)
            self._results.fill(order.data._name, event, bit.size, bit.price, bit.closedcomm + bit.openedcomm)
            for size in filter(None, (bit.closed, bit.opened)):
                self._update_trade((data, order.tradeid), size, bit.price, reason_of(order))

    def _update_trade(self, key: tuple[Any, int], size: float, price: float, reason: str) -> None:
        trade = self._open[key]
        trade.update(size, price, reason)
        if trade.size == 0:
            self._closed[key].append(self._open.pop(key))

    def notify_trade(self, trade: Any) -> None:
        if not trade.isclosed:
            return
        closed = self._closed[trade.data, trade.tradeid].popleft()
        self._results.trade(
            RunTrade(
                run_id=self._results.run_id,
                seq=len(self._results.pnl_net),
                symbol=trade.data._name,
                side="long" if trade.long else "short",
                size=closed.opened,
                entry_ts=trade.data.event_of(trade.dtopen),
                entry_price=trade.price,
                exit_ts=trade.data.event_of(trade.dtclose),
                exit_price=closed.exit_price,
                pnl=trade.pnl,
                pnl_net=trade.pnlcomm,
                commission=trade.commission,
                entry_reason=closed.entry_reason,
                exit_reason=closed.exit_reason,
            )
        )

    def _record_first_closes(self) -> None:
        """For buy-and-hold: the close at which each symbol could first have been bought."""
        self._first_closes.update({data: data.close[0] for data in self._without_bars if len(data)})
        self._without_bars = [data for data in self._without_bars if not len(data)]

    def _closes(self) -> list[tuple[float, float]]:
        return [(first, data.close[0]) for data, first in list(self._first_closes.items())]

    def next(self) -> None:
        if self._without_bars:
            self._record_first_closes()
        self._results.point(self._engine.event, *self._broker.account())


class GuardedAnalyzer(ResultsAnalyzer):
    """Raises RunFailed for an order whose size or price is NaN; excludes resampled feeds from buy-and-hold."""

    def start(self) -> None:
        super().start()
        self._without_bars = [data for data in self._without_bars if not is_resampled(data._name)]

    def notify_order(self, order: Any) -> None:
        check_order(order)
        super().notify_order(order)

    def stop(self) -> None:
        for order in unfilled_orders(self._broker):  # one made on the last bar was in no notification
            check_order(order)


class WarmupAnalyzer(GuardedAnalyzer):
    """GuardedAnalyzer that ignores the warm-up history: it measures from event time ``begins`` (ms UTC)."""

    params = (("begins", 0),)  # type: ignore[assignment]

    def next(self) -> None:
        if self._engine.event >= self.p.begins:
            super().next()
        else:
            self._results.heartbeat()


def add_analyzer(engine: bt.Cerebro, results: Results, begins: int) -> None:
    """Have the engine write to ``results``, from event time ``begins`` (ms UTC); 0 if there is no warm-up history."""
    if begins:
        engine.addanalyzer(WarmupAnalyzer, results=results, begins=begins)
    else:
        engine.addanalyzer(GuardedAnalyzer, results=results)


def quiet_until(strategy: type[Any], event: int) -> type[Any]:
    """The strategy without actions during warm-up: ``nextstart`` and ``next`` are first called at ``event`` (ms UTC).

    ``nextstart`` is still called at most once, before the first ``next``. So are their counterparts at a bar's open.
    """

    class Quiet(strategy):  # type: ignore[misc]
        _nextstart_pending = False
        _nextstart_open_pending = False

        def prenext(self) -> None:
            if self.cerebro.event >= event:
                super().prenext()

        def nextstart(self) -> None:
            if self.cerebro.event >= event:
                super().nextstart()
            else:
                self._nextstart_pending = True

        def next(self) -> None:
            if self.cerebro.event < event:
                return
            if self._nextstart_pending:
                self._nextstart_pending = False
                super().nextstart()
            else:
                super().next()

        def prenext_open(self) -> None:
            if self.cerebro.event >= event:
                super().prenext_open()

        def nextstart_open(self) -> None:
            if self.cerebro.event >= event:
                super().nextstart_open()
            else:
                self._nextstart_open_pending = True

        def next_open(self) -> None:
            if self.cerebro.event < event:
                return
            if self._nextstart_open_pending:
                self._nextstart_open_pending = False
                super().nextstart_open()
            else:
                super().next_open()

    Quiet.__name__ = strategy.__name__
    return Quiet
