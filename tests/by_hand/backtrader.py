"""The reference: stock Backtrader with Cerebro and PandasData, and nothing of Tapedeck but its input bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import backtrader as bt
import pandas as pd

from tapedeck_common.market import Bar

MINUTE = 60_000
DAY_US = 86_400_000_000


@dataclass
class Outcome:
    """Fills (symbol, time, size, price), trades (symbol, entry, exit, entry price, pnl, net), equity of each step."""

    fills: list[tuple[Any, ...]] = field(default_factory=list)
    trades: list[tuple[Any, ...]] = field(default_factory=list)
    equity: list[tuple[pd.Timestamp, float]] = field(default_factory=list)
    final: float = 0.0


def frame(bars: Sequence[Bar], width: int = MINUTE) -> pd.DataFrame:
    """One symbol's bars of ``width`` milliseconds as a frame, indexed by close, midnight 10 µs earlier."""
    closes = (1_000 * (bar.ts + width) for bar in bars)
    index = pd.to_datetime([each if each % DAY_US else each - 10 for each in closes], unit="us")
    names = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({n: [getattr(b, n) for b in bars] for n in names}, index=index)


def _closed_at(stamp: datetime) -> pd.Timestamp:
    """The close of a bar by its stamp."""
    return pd.Timestamp(stamp).round("ms")


def recording(strategy: type[Any], outcome: Outcome) -> type[Any]:
    """The strategy, recording its notifications."""

    class Recording(strategy):  # type: ignore[misc]
        def notify_order(self, order: Any) -> None:
            super().notify_order(order)
            # Partial: filled except for a rounding error of 1e-17, which Backtrader's sums leave sometimes.
            if order.status in (order.Completed, order.Partial):
                bit = order.executed[-1]
                outcome.fills.append((order.data._name, _closed_at(bt.num2date(bit.dt)), bit.size, bit.price))

        def notify_trade(self, trade: Any) -> None:
            super().notify_trade(trade)
            if trade.isclosed:
                times = (_closed_at(trade.open_datetime()), _closed_at(trade.close_datetime()))
                outcome.trades.append((trade.data._name, *times, trade.price, trade.pnl, trade.pnlcomm))

        def notify_cashvalue(self, cash: float, value: float) -> None:
            outcome.equity.append((_closed_at(bt.num2date(max(d.datetime[0] for d in self.datas if len(d)))), value))

    return Recording


def run_stock(
    strategy: type[Any],
    series: Mapping[str, Sequence[Bar]],
    *,
    cash: float,
    commission_percent: float = 0.0,
    slippage_percent: float = 0.0,
    percent: float | None = None,
    width: int = MINUTE,
    setup: Callable[[bt.Cerebro], None] = lambda _: None,
    **params: Any,
) -> Outcome:
    """Run the strategy as in Backtrader's documentation, on bars of ``width`` ms. ``setup`` configures the rest."""
    outcome = Outcome()
    unit, length = (bt.TimeFrame.Seconds, 1_000) if width < MINUTE else (bt.TimeFrame.Minutes, MINUTE)
    cerebro = bt.Cerebro()
    for symbol, bars in series.items():
        data = frame(bars, width)
        cerebro.adddata(bt.feeds.PandasData(dataname=data, timeframe=unit, compression=width // length), name=symbol)
    cerebro.addstrategy(recording(strategy, outcome), **params)
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=commission_percent / 100)
    if slippage_percent:
        cerebro.broker.set_slippage_perc(slippage_percent / 100)
    if percent is not None:
        cerebro.addsizer(bt.sizers.PercentSizer, percents=percent)
    setup(cerebro)
    cerebro.run()
    outcome.final = cerebro.broker.getvalue()
    return outcome
