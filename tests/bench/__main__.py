"""``make bench [NAME=…]``: print ``name value unit reference ratio`` and write bench-results.json.

RECORD=1 keeps the figures for the page of benchmarks, which ``make reference`` writes.

NAME is a module of this folder, the name of one figure or what several begin with, such as replay;
all if left out.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import asdict
from itertools import product
from pathlib import Path

from bench.figures import Figure
from bench.recorded import record

# Parts, what they take, and rates: trades a second of a live market, bars a second of a Replay.
SIZING = [
    *product(("feed", "recorder", "gateway", "broker", "database"), ("cpu", "memory"), (200, 2_000)),
    *product(("replay",), ("cpu", "memory"), (1_000, 10_000)),
]
# What is measured of stores of as many million bars.
STORE = product(
    ("bar", "history-p99", "coarser-p99", "symbols", "search-p99", "replay-start", "merge", "retention"), (1, 10, 100)
)
# Figure → the module whose ``run()`` measures it.
BENCHES = {
    "replay-unpaced": "replay_unpaced",
    "replay-vs-await": "replay_rivals",
    "replay-vs-plain": "replay_rivals",
    "replay-lateness-p99": "replay_paced",
    "replay-lateness-p99-1k": "replay_paced",
    "replay-visible-p99": "replay_paced",
    "replay-memory-growth": "replay_memory",
    "replay-start": "replay_start",
    "ingest": "ingest",
    "ingest-again": "ingest",
    "ingest-upsert": "ingest",
    "feed": "feed",
    "feed-throughput": "feed",
    "feed-latency-p99": "feed",
    "feed-memory-growth": "feed",
    "feed-backfill": "feed_backfill",
    "import-csv": "files",
    "import-parquet": "files",
    "import-vs-client": "files",
    "import-memory": "files",
    "export-parquet": "files",
    "backtest": "backtest",
    "backtest-defaults": "backtest",
    "backtest-vs-next": "backtest",
    "backtest-fast": "backtest",
    "backtest-memory": "backtest",
    "backtest-sweep": "backtest_sweep",
    "backtest-sweep-vectorbt": "backtest_sweep",
    "backtest-sweep-memory": "backtest_sweep",
    "gateway-history-p99": "gateway_history",
    "gateway-history-p99-bare": "gateway_history",
    "gateway-history-ratio": "gateway_history",
    "gateway-arrow": "gateway_history",
    "gateway-search-p99": "gateway_history",
    "gateway-fanout-p99": "gateway_sockets",
    "gateway-client-memory": "gateway_sockets",
    "gateway-bar-to-page": "gateway_page",
    "page-first-paint": "page",
    "page-first-paint-empty": "page",
    "page-first-bars": "page",
    "page-frame-p95": "page",
    "page-frame-p95-empty": "page",
    "page-history-100k": "page",
    "page-history-100k-all": "page",
    "page-memory-1h": "page",
    "observability-cost-replay": "observability",
    "observability-cost-ingest": "observability",
    "idle-cpu": "idle",
    "idle-memory": "idle",
    "idle-cpu-2000": "idle",
    "idle-memory-2000": "idle",
    "idle-get-2000": "idle",
    "idle-start-2000": "idle",
    "sizing-store-bar": "sizing",
    "sizing-store-trade": "sizing",
    "sizing-log-bar": "sizing",
    "sizing-log-trade": "sizing",
    "sizing-log-trade-live": "sizing",
    **{f"sizing-{part}-{of}-{rate}": "sizing" for part, of, rate in SIZING},
    "sizing-backtest-memory": "sizing",
    **{f"store-{of}-{millions}m": "store" for of, millions in STORE},
    "operator-apply-p50": "operator",
    "operator-apply-p99": "operator",
    "operator-burst-1000": "operator",
    "operator-patches": "operator",
    "operator-rss": "operator",
    "operator-rss-10000": "operator",
    "operator-idle-cpu": "operator",
}
RESULTS = Path("bench-results.json")


def line(figure: Figure) -> str:
    """The figure as text, columns apart by spaces."""
    numbers = [f"{n:.4g}" if n is not None else "-" for n in (figure.reference, figure.ratio)]
    return f"{figure.name} {figure.value:.6g} {figure.unit} {' '.join(numbers)}"


def main(wanted: str) -> int:
    """Run what is asked for; exit 2 for a name that is not known."""
    chosen = {name: m for name, m in BENCHES.items() if wanted in ("", name, m) or name.startswith(f"{wanted}-")}
    modules = dict.fromkeys(chosen.values())
    if not modules:
        print(f"NAME: got {wanted!r}, expected one of {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for module in modules:
        for figure in importlib.import_module(f"bench.{module}").run():
            print(line(figure), flush=True)
            figures.append(figure)
    RESULTS.write_text(json.dumps([asdict(f) for f in figures], indent=2) + "\n")
    if os.environ.get("RECORD"):
        record(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
