"""``backtest``: bars per second of processor time over 500,000 seeded one-minute bars, SMA 10/30.

Measured is the path of a run: loading the strategy, building the engine and its batch feed, collecting and encoding the
results; ``backtest`` with a user's module, ``backtest-fast`` with the built-in strategy. The reference is stock
Backtrader with a PandasData feed: without standard observers, with its defaults in ``backtest-defaults``, and the fork
backtrader-next without statistics in ``backtest-vs-next``. Each run is a new process; all must produce the same trades.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from bench.backtest_peers import peers, run_process
from bench.figures import Figure, against

RUNS = 3
RUN_ONCE = ("stock-defaults",)


def run() -> list[Figure]:
    """Medians of alternating runs. Raises RuntimeError if the trades differ."""
    pythons = dict.fromkeys(("module", "builtin", "stock", "stock-defaults"), Path(sys.executable))
    pythons["next"] = peers()
    answers_of: dict[str, list[dict[str, Any]]] = {engine: [] for engine in pythons}
    for number in range(RUNS):
        for engine, python in pythons.items():
            if number == 0 or engine not in RUN_ONCE:
                answers_of[engine].append(run_process("backtest_engines", engine, python=python))
    hashes = {answer["hash"] for answers in answers_of.values() for answer in answers}
    if len(hashes) != 1 or not answers_of["module"][0]["trades"]:
        raise RuntimeError(f"the trades differ, or there are none: {answers_of}")

    def of(engine: str, what: str) -> list[float]:
        return [answer[what] for answer in answers_of[engine]]

    memory, stock_memory = (statistics.median(of(engine, "memory")) for engine in ("module", "stock"))
    return [
        against("backtest", of("module", "speed"), of("stock", "speed"), "bars/s"),
        against("backtest-defaults", of("module", "speed"), of("stock-defaults", "speed"), "bars/s"),
        against("backtest-vs-next", of("module", "speed"), of("next", "speed"), "bars/s"),
        against("backtest-fast", of("builtin", "speed"), of("stock", "speed"), "bars/s"),
        Figure("backtest-memory", memory, "MB", stock_memory, memory / stock_memory),
    ]
