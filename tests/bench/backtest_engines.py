"""``python -m bench.backtest_engines ENGINE``: one run over the benchmark's bars; prints its figures as JSON.

Engines: ``module`` (Tapedeck with a user's module), ``builtin`` (Tapedeck with the built-in strategy), both with the
strategy in its own process and its records taken by this one; ``stock`` and ``stock-defaults`` (Backtrader with
PandasData), ``next`` (backtrader-next in its place). Speed is bars per second of the processor time of both processes,
without the time to make the bars.
"""

from __future__ import annotations

import datetime
import importlib
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.backtest_market import (
    BARS,
    CASH,
    COMMISSION_PERCENT,
    FAST,
    SIZER_PERCENT,
    SLOW,
    Ledger,
    bars,
    frame,
)

MODULE = "backtest_strategy:SmaCross"
Work = Callable[[], object]
_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _tapedeck(ledger: Ledger, strategy: dict[str, Any]) -> Work:
    from pods.strategy_process import run_series
    from tapedeck_backtest.bars.arrays import BarArrays
    from tapedeck_common.records import ResultRecord, RunFill, RunTrade
    from tapedeck_common.settings import PodSettings
    from tapedeck_common.wire import encode
    from tapedeck_crds.backtest import BacktestSpec

    columns = BarArrays(**bars())
    spec = BacktestSpec.model_validate(
        {
            "strategy": strategy,
            "data": {"store": {"exchange": "x", "symbols": ["A"]}},
            "broker": {"cash": CASH, "commissionPercent": COMMISSION_PERCENT},
            "sizer": {"percent": SIZER_PERCENT},
        }
    )

    def emit(record: ResultRecord) -> None:
        encode(record)
        if isinstance(record, RunFill):
            ledger.fill(record.ts, record.size if record.side == "buy" else -record.size, record.price)
        elif isinstance(record, RunTrade):
            ledger.trade(record.entry_ts, record.exit_ts, record.entry_price, record.pnl, record.pnl_net)

    settings = PodSettings(uid="bench", files=Path(__file__).parent)
    return lambda: run_series(spec, settings, {"A": columns}, emit)


def _stock(ledger: Ledger, data: str = "dataname", **defaults: bool) -> Work:
    import backtrader as bt

    from bench.backtest_strategy import SmaCross

    bars_frame = frame()
    epoch: float = bt.date2num(datetime.datetime(1970, 1, 1))

    def ms(days: float) -> int:
        return round((days - epoch) * 86_400_000)

    class Recording(SmaCross):
        def notify_order(self, order: Any) -> None:
            if order.status in (order.Completed, order.Partial):
                ledger.fill(ms(order.executed.dt), float(order.executed[-1].size), float(order.executed[-1].price))

        def notify_trade(self, trade: Any) -> None:
            if trade.isclosed:
                figures = (float(each) for each in (trade.price, trade.pnl, trade.pnlcomm))
                ledger.trade(ms(trade.dtopen), ms(trade.dtclose), *figures)

    def work() -> None:
        cerebro = bt.Cerebro(**defaults)
        cerebro.adddata(bt.feeds.PandasData(**{data: bars_frame}, timeframe=bt.TimeFrame.Minutes, compression=1))
        cerebro.addstrategy(Recording)
        cerebro.broker.setcash(CASH)
        cerebro.broker.setcommission(commission=COMMISSION_PERCENT / 100)
        cerebro.addsizer(bt.sizers.PercentSizer, percents=SIZER_PERCENT)
        cerebro.run()

    return work


def _next(ledger: Ledger) -> Work:
    sys.modules["backtrader"] = importlib.import_module("backtrader_next")  # its API is the same
    return _stock(ledger, "dataframe", stdstats=False, stats=False)


ENGINES: dict[str, Callable[[Ledger], Work]] = {
    "module": lambda ledger: _tapedeck(ledger, {"module": MODULE}),
    "builtin": lambda ledger: _tapedeck(ledger, {"builtin": "sma-cross", "params": {"fast": FAST, "slow": SLOW}}),
    "stock": lambda ledger: _stock(ledger, stdstats=False),
    "stock-defaults": _stock,
    "next": _next,
}


def _processor_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(each)[:2]) for each in _PROCESSES)


def main(engine: str) -> None:
    """Run once and print the figures as JSON."""
    ledger = Ledger()
    work = ENGINES[engine](ledger)
    started = _processor_seconds()
    work()
    speed = BARS / (_processor_seconds() - started)
    memory = max(resource.getrusage(each).ru_maxrss for each in _PROCESSES) / 1024
    print(json.dumps({"speed": speed, "memory": memory, "hash": ledger.hash, "trades": ledger.trades}))


if __name__ == "__main__":
    main(sys.argv[1])
