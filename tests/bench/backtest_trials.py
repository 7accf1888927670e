"""``python -m bench.backtest_trials tapedeck|backtesting``: a grid's trials one after the other in one process.

Prints as JSON a hash of each trial's trades, the trials per core-second (processor time of the trials alone), and the
growth of the process's memory during the trials. Each order buys one unit without commission, so that both sides
compute profits as the same sums.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.backtest_market import CASH, MINUTE, T0, bars, frame

FASTS, SLOWS = range(5, 15), range(20, 60, 2)
GRID = list(itertools.product(FASTS, SLOWS))
SAMPLE = slice(None, None, 10)  # of the grid, for the side that takes seconds per trial
Trial = Callable[[int, int], str]


def _tapedeck() -> Trial:
    from tapedeck_backtest.bars.arrays import BarArrays
    from tapedeck_backtest.strategies import BUILTINS
    from tapedeck_backtest.trials.trial import TrialRunner
    from tapedeck_crds.backtest import BacktestSpec

    axes = [{"name": "fast", "values": list(FASTS)}, {"name": "slow", "values": list(SLOWS)}]
    spec = BacktestSpec.model_validate(
        {
            "strategy": {"builtin": "sma-cross"},
            "data": {"store": {"exchange": "x", "symbols": ["A"]}},
            "broker": {"cash": CASH},
            "sweep": {"params": axes},
        }
    )
    columns = BarArrays(**bars())
    start, end = T0, int(columns.event[-1])
    assert spec.sweep is not None
    trials = TrialRunner("bench", spec, spec.sweep, BUILTINS["sma-cross"], {"A": columns}, "1m", {}, lambda: None)
    numbers = itertools.count()
    return lambda fast, slow: trials.run(0, next(numbers), {"fast": fast, "slow": slow}, start, end).trades_hash


def _backtesting() -> Trial:
    import pandas as pd
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    data = frame(capital=True)

    def mean(values: Any, period: int) -> Any:
        return pd.Series(values).rolling(period).mean()

    class Cross(Strategy):  # type: ignore[misc]
        fast, slow = 10, 30

        def init(self) -> None:
            self.fast_mean = self.I(mean, self.data.Close, self.fast)
            self.slow_mean = self.I(mean, self.data.Close, self.slow)

        def next(self) -> None:
            if crossover(self.fast_mean, self.slow_mean):
                if not self.position:
                    self.buy(size=1)
            elif crossover(self.slow_mean, self.fast_mean):
                self.position.close()

    backtest = Backtest(data, Cross, cash=CASH, commission=0.0, finalize_trades=False)

    def trial(fast: int, slow: int) -> str:
        stats = backtest.run(fast=fast, slow=slow)
        strategy = stats["_strategy"]
        lines = hashlib.sha256()
        for line in _lines(strategy.closed_trades, strategy.trades, data):
            lines.update(line.encode())
        return lines.hexdigest()

    return trial


def _lines(closed: Any, still_open: Any, data: Any) -> Iterator[str]:
    """Trades of backtesting.py in the format of Tapedeck's trades_hash."""

    def ts(bar: int) -> int:
        return int(T0 + MINUTE * (bar + 1))

    for trade in closed:
        entry, leave = ts(trade.entry_bar), ts(trade.exit_bar)
        bought, sold = float(trade.entry_price), float(trade.exit_price)
        gain = 1.0 * (sold - bought)
        yield f"fill,A,{entry},buy,1,{bought!r}\n"
        yield f"fill,A,{leave},sell,1,{sold!r}\n"
        yield f"trade,A,long,1.0,{entry},{bought!r},{leave},{sold!r},{gain!r},{gain!r}\n"
    for trade in still_open:
        yield f"fill,A,{ts(trade.entry_bar)},buy,1,{float(trade.entry_price)!r}\n"


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(side: str) -> None:
    """Run all trials of the side and print its figures as JSON."""
    trial, chosen = (_tapedeck(), GRID) if side == "tapedeck" else (_backtesting(), GRID[SAMPLE])
    before, started = _resident_mb(), time.process_time()
    hashes = {f"{fast},{slow}": trial(fast, slow) for fast, slow in chosen}
    seconds = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(json.dumps({"speed": len(chosen) / seconds, "memory": grown, "hashes": hashes}))


if __name__ == "__main__":
    main(sys.argv[1])
