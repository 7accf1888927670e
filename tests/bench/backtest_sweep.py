"""``backtest-sweep``: trials per core-second of a grid of 200 over 500,000 seeded one-minute bars.

Tapedeck runs all 200 as a pod of a sweep does, metrics included; the reference is backtesting.py with every tenth of
the same grid, whose trades must be equal. ``backtest-sweep-memory`` is the growth of the process during the trials,
without its bars: trials run one after the other, so this is the memory of one trial.
"""

from __future__ import annotations

from bench.backtest_peers import peers, run_process
from bench.figures import Figure


def run() -> list[Figure]:
    """One run of each side. Raises RuntimeError if the trades differ."""
    peer, tapedeck = (
        run_process("backtest_trials", "backtesting", python=peers()),
        run_process("backtest_trials", "tapedeck"),
    )
    different = [point for point, digest in peer["hashes"].items() if tapedeck["hashes"][point] != digest]
    if different or len(set(peer["hashes"].values())) != len(peer["hashes"]):
        raise RuntimeError(f"the trades differ at {different}, or all are the same")
    speed, reference = tapedeck["speed"], peer["speed"]
    memory, peer_memory = tapedeck["memory"], peer["memory"]
    return [
        Figure("backtest-sweep", speed, "trials/s", reference, speed / reference),
        Figure("backtest-sweep-memory", memory, "MB", peer_memory, memory / peer_memory),
    ]
