"""``backtest-sweep``: trials a core-second of a grid of 200 over 500,000 seeded one-minute bars.

The subject makes them as a pod of a sweep does, metrics included, all 200; the reference is backtesting.py with each
tenth of the same grid, whose trades must be ours. ``backtest-sweep-memory`` is what the process grew by meanwhile,
beside its bars: trials are made one after the other, so this is what one takes.
"""

from __future__ import annotations

from bench.backtest_peers import fresh, peers
from bench.figures import Figure


def run() -> list[Figure]:
    """One run of each side. Raises RuntimeError where the trades differ."""
    theirs, ours = fresh("backtest_trials", "backtesting", python=peers()), fresh("backtest_trials", "tapedeck")
    wrong = [point for point, digest in theirs["hashes"].items() if ours["hashes"][point] != digest]
    if wrong or len(set(theirs["hashes"].values())) != len(theirs["hashes"]):
        raise RuntimeError(f"the trades differ at {wrong}, or all are the same")
    speed, reference = ours["speed"], theirs["speed"]
    memory, others = ours["memory"], theirs["memory"]
    return [
        Figure("backtest-sweep", speed, "trials/s", reference, speed / reference),
        Figure("backtest-sweep-memory", memory, "MB", others, memory / others),
    ]
