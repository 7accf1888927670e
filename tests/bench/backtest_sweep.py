"""``backtest-sweep``: trials per core-second of a grid of 200 over 500,000 seeded one-minute bars.

Tapedeck runs all 200 as a pod of a sweep does, with all figures of a report; the reference is backtesting.py with every
tenth of the same grid. The reference of ``backtest-sweep-vectorbt`` is vectorbt with these, five at once, and with five
figures of each. All trades must be equal. ``backtest-sweep-memory`` is the growth of the process during the trials,
without its bars; the reference is that of backtesting.py.
"""

from __future__ import annotations

from bench.backtest_peers import peers, run_process
from bench.figures import Figure


def run() -> list[Figure]:
    """One run of each side. Raises RuntimeError if the trades differ."""
    tapedeck = run_process("backtest_trials", "tapedeck")
    backtesting, vectorbt = (
        run_process("backtest_trials", peer, python=peers()) for peer in ("backtesting", "vectorbt")
    )
    for peer in (backtesting, vectorbt):
        different = [point for point, digest in peer["hashes"].items() if tapedeck["hashes"][point] != digest]
        if different or len(set(peer["hashes"].values())) != len(peer["hashes"]):
            raise RuntimeError(f"the trades differ at {different}, or all are the same")
    speed, memory = tapedeck["speed"], tapedeck["memory"]
    return [
        Figure("backtest-sweep", speed, "trials/s", backtesting["speed"], speed / backtesting["speed"]),
        Figure("backtest-sweep-vectorbt", speed, "trials/s", vectorbt["speed"], speed / vectorbt["speed"]),
        Figure("backtest-sweep-memory", memory, "MB", backtesting["memory"], memory / backtesting["memory"]),
    ]
