"""``backtest``: bars a second of processor time over 500,000 seeded one-minute bars, SMA 10/30.

The subject is the runner's own way: loading the strategy, assembling the engine, the batch feed, collecting and
encoding the results; ``backtest`` with a user's module, ``backtest-fast`` with the strategy that Tapedeck brings. The
reference is stock Backtrader with a PandasData feed without its standard observers, in ``backtest-defaults`` as it
comes, in ``backtest-vs-next`` the fork backtrader-next without its statistics. Each run is a fresh process; all must
give the same trades.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from bench.backtest_peers import fresh, peers
from bench.figures import Figure, against

RUNS = 3
ONCE = ("stock-defaults",)


def run() -> list[Figure]:
    """Medians of alternating runs. Raises RuntimeError where the trades differ."""
    pythons = dict.fromkeys(("module", "builtin", "stock", "stock-defaults"), Path(sys.executable))
    pythons["next"] = peers()
    said: dict[str, list[dict[str, Any]]] = {way: [] for way in pythons}
    for turn in range(RUNS):
        for way, python in pythons.items():
            if turn == 0 or way not in ONCE:
                said[way].append(fresh("backtest_ways", way, python=python))
    hashes = {answer["hash"] for answers in said.values() for answer in answers}
    if len(hashes) != 1 or not said["module"][0]["trades"]:
        raise RuntimeError(f"the trades differ, or there are none: {said}")

    def of(way: str, what: str) -> list[float]:
        return [answer[what] for answer in said[way]]

    memory, stock_memory = (statistics.median(of(way, "memory")) for way in ("module", "stock"))
    return [
        against("backtest", of("module", "speed"), of("stock", "speed"), "bars/s"),
        against("backtest-defaults", of("module", "speed"), of("stock-defaults", "speed"), "bars/s"),
        against("backtest-vs-next", of("module", "speed"), of("next", "speed"), "bars/s"),
        against("backtest-fast", of("builtin", "speed"), of("stock", "speed"), "bars/s"),
        Figure("backtest-memory", memory, "MB", stock_memory, memory / stock_memory),
    ]
