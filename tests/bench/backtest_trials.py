"""``python -m bench.backtest_trials tapedeck|backtesting|vectorbt``: the trials of a grid in one process.

Prints as JSON a hash of each trial's trades, the trials per core-second (processor time of the trials with their
figures alone), and the growth of the process's memory during the trials, without the bars. Each order buys one unit
without commission, so that all sides compute profits as the same sums.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bench.backtest_market import CASH, MINUTE, T0, bars, frame

FASTS, SLOWS = range(5, 15), range(20, 60, 2)
GRID = list(itertools.product(FASTS, SLOWS))
SAMPLE = slice(None, None, 10)  # of the grid, for the sides that take longer
BLOCK = 5  # trials of vectorbt at once
Points = list[tuple[int, int]]
Hashes = dict[str, str]  # of the trades, by point
Measured = tuple[float, float, Hashes]  # processor seconds, growth of memory in MB, and what was computed
T = TypeVar("T")


def _tapedeck(points: Points) -> Measured:
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
    return _one_by_one(
        points, lambda fast, slow: trials.run(0, next(numbers), {"fast": fast, "slow": slow}, start, end).trades_hash
    )


def _backtesting(points: Points) -> Measured:
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
        for line in _lines(strategy.closed_trades, strategy.trades):
            lines.update(line.encode())
        return lines.hexdigest()

    return _one_by_one(points, trial)


def _one_by_one(points: Points, trial: Callable[[int, int], str]) -> Measured:
    return _measured(lambda: {f"{fast},{slow}": trial(fast, slow) for fast, slow in points})


def _measured(compute: Callable[[], T]) -> tuple[float, float, T]:
    before, started = _resident_mb(), time.process_time()
    found = compute()
    seconds = time.process_time() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before, found


def _vectorbt(points: Points) -> Measured:
    import vectorbt as vbt

    data = frame().reset_index(drop=True)

    def portfolio(data: Any, block: Points) -> Any:
        fast = vbt.MA.run(data["close"], [fast for fast, _ in block]).ma
        slow = vbt.MA.run(data["close"], [slow for _, slow in block]).ma
        fast.columns = slow.columns = range(len(block))
        # A signal of a bar is filled at the open of the next one.
        entries, exits = (
            signals.vbt.signals.fshift(1) for signals in (fast.vbt.crossed_above(slow), slow.vbt.crossed_above(fast))
        )
        found = vbt.Portfolio.from_signals(
            data["close"], entries, exits, price=data[["open"]].to_numpy(), size=1.0, init_cash=CASH, fees=0.0,
            freq="1min",
        )  # fmt: skip
        trades = found.trades
        for figure in (found.total_return, found.sharpe_ratio, found.max_drawdown, trades.win_rate):
            figure()
        trades.profit_factor()
        return found

    portfolio(data[:2_000], points[:2])  # compiles it
    blocks = [points[first : first + BLOCK] for first in range(0, len(points), BLOCK)]
    seconds, memory, portfolios = _measured(lambda: [portfolio(data, block) for block in blocks])
    hashes: Hashes = {}
    for block, found in zip(blocks, portfolios, strict=True):
        records = found.trades.records
        for column, (fast, slow) in enumerate(block):
            trades = records[records["col"] == column].rename(
                columns={"entry_idx": "entry_bar", "exit_idx": "exit_bar"}
            )
            lines = "".join(_lines(*(trades[trades["status"] == status].itertuples() for status in (1, 0))))
            hashes[f"{fast},{slow}"] = hashlib.sha256(lines.encode()).hexdigest()
    return seconds, memory, hashes


def _lines(closed: Iterable[Any], still_open: Iterable[Any]) -> Iterator[str]:
    """Trades of a peer in the format of Tapedeck's trades_hash."""

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


SIDES: dict[str, tuple[Callable[[Points], Measured], Points]] = {
    "tapedeck": (_tapedeck, GRID),
    "backtesting": (_backtesting, GRID[SAMPLE]),
    "vectorbt": (_vectorbt, GRID[SAMPLE]),
}


def main(side: str) -> None:
    """Run all trials of the side and print its figures as JSON."""
    run, points = SIDES[side]
    seconds, memory, hashes = run(points)
    print(json.dumps({"speed": len(points) / seconds, "memory": memory, "hashes": hashes}))


if __name__ == "__main__":
    main(sys.argv[1])
