"""``backtest``: bars a second of a user's module over 500,000 seeded one-minute bars.

The subject is the runner's own way: loading the module, assembling the engine, the batch feed,
collecting and encoding the results. The reference is stock Backtrader with a PandasData feed, once
without its standard observers (``backtest``) and once as it comes (``backtest-defaults``). Reading
the bars is in neither. Each run is a fresh process; all must give the same trades.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import Figure, against

BARS, RUNS, SEED = 500_000, 3, 20_180_404
T0, MINUTE = 1_522_800_000_000, 60_000
CASH, COMMISSION_PERCENT, SIZER_PERCENT = 1e6, 0.01, 50.0
MODULE = "backtest_strategy:SmaCross"
PRICES = ("open", "high", "low", "close", "volume")


def run() -> list[Figure]:
    """Medians of alternating runs. Raises RuntimeError where the trades differ."""
    said: dict[str, list[dict[str, Any]]] = {"stock": [], "stock-defaults": [], "tapedeck": []}
    for _ in range(RUNS):
        for how, answers in said.items():
            answers.append(_in_fresh_process(how))
    hashes = {answer["hash"] for answers in said.values() for answer in answers}
    if len(hashes) != 1 or not said["tapedeck"][0]["trades"]:
        raise RuntimeError(f"the trades differ, or there are none: {said}")

    def of(how: str, what: str) -> list[float]:
        return [answer[what] for answer in said[how]]

    speed, memory = of("tapedeck", "speed"), statistics.median(of("tapedeck", "memory"))
    stock_memory = statistics.median(of("stock", "memory"))
    return [
        against("backtest", speed, of("stock", "speed"), "bars/s"),
        against("backtest-defaults", speed, of("stock-defaults", "speed"), "bars/s"),
        Figure("backtest-memory", memory, "MB", stock_memory, memory / stock_memory),
    ]


def _in_fresh_process(how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.backtest", how],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{how} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _bars() -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, BARS)))
    opened = np.concatenate([[100.0], close[:-1]])
    wick = rng.uniform(0, 0.001, (2, BARS))
    high, low = np.maximum(opened, close) * (1 + wick[0]), np.minimum(opened, close) * (1 - wick[1])
    columns = (opened, high, low, close, rng.uniform(0, 10, BARS))
    return dict(zip(PRICES, columns, strict=True)) | {"event": T0 + MINUTE * np.arange(1, BARS + 1)}


class _Ledger:
    """What was traded, as text: made anew from what each side tells of its fills and trades."""

    def __init__(self) -> None:
        self.trades = 0
        self._hash = hashlib.sha256()

    def fill(self, ts: int, size: float, price: float) -> None:
        self._hash.update(f"fill {ts} {size!r} {price!r}\n".encode())

    def trade(self, entry_ts: int, exit_ts: int, price: float, pnl: float, net: float) -> None:
        self.trades += 1
        self._hash.update(f"trade {entry_ts} {exit_ts} {price!r} {pnl!r} {net!r}\n".encode())

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()


def _tapedeck(ledger: _Ledger) -> Callable[[], Any]:
    from tapedeck.records import ResultRecord, RunFill, RunTrade
    from tapedeck.wire import encode
    from tapedeck_backtest import engine
    from tapedeck_backtest.choose import checked_params, strategy_class
    from tapedeck_backtest.feeds import Columns
    from tapedeck_backtest.results import Collector, Results
    from tapedeck_crds.backtest import BacktestSpec

    columns = Columns(**_bars())
    spec = BacktestSpec.model_validate(
        {
            "strategy": {"module": MODULE},
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

    def work() -> None:
        strategy = strategy_class(spec.strategy, Path(__file__).parent)
        params = checked_params(strategy, spec.strategy.params)
        made = engine.batch(spec, strategy, params, {"A": columns}, "1m")
        results = Results("bench", CASH, MINUTE, emit)
        made.addanalyzer(Collector, results=results)
        made.run()
        results.flush()
        results.summary()

    return work


def _stock(ledger: _Ledger, **defaults: bool) -> Callable[[], Any]:
    import backtrader as bt
    import pandas as pd

    from bench.backtest_strategy import SmaCross

    columns = _bars()
    frame = pd.DataFrame({n: columns[n] for n in PRICES}, index=pd.to_datetime(columns["event"], unit="ms"))
    epoch = bt.date2num(pd.Timestamp(0).to_pydatetime())

    def ms(days: float) -> int:
        return round((days - epoch) * 86_400_000)

    class Told(SmaCross):
        def notify_order(self, order: Any) -> None:
            if order.status in (order.Completed, order.Partial):
                ledger.fill(ms(order.executed.dt), order.executed[-1].size, order.executed[-1].price)

        def notify_trade(self, trade: Any) -> None:
            if trade.isclosed:
                ledger.trade(ms(trade.dtopen), ms(trade.dtclose), trade.price, trade.pnl, trade.pnlcomm)

    def work() -> None:
        cerebro = bt.Cerebro(**defaults)
        cerebro.adddata(bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes, compression=1))
        cerebro.addstrategy(Told)
        cerebro.broker.setcash(CASH)
        cerebro.broker.setcommission(commission=COMMISSION_PERCENT / 100)
        cerebro.addsizer(bt.sizers.PercentSizer, percents=SIZER_PERCENT)
        cerebro.run()

    return work


def main(how: str) -> None:
    """One run; its figures as JSON on stdout."""
    ledger = _Ledger()
    ways = {
        "tapedeck": lambda: _tapedeck(ledger),
        "stock": lambda: _stock(ledger, stdstats=False),
        "stock-defaults": lambda: _stock(ledger),
    }
    work = ways[how]()
    started = time.perf_counter()
    work()
    speed = BARS / (time.perf_counter() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"speed": speed, "memory": memory, "hash": ledger.hash, "trades": ledger.trades}))


if __name__ == "__main__":
    main(sys.argv[1])
