"""Shared by all engines of the benchmark: the bars, the account's settings, and a ledger of the trades.

It imports nothing of Tapedeck, because the peers' environment does not contain it.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

BARS = int(os.environ.get("TAPEDECK_BENCH_BARS", "500000"))  # fewer to test the benchmark itself
SEED = 20_180_404
T0, MINUTE = 1_522_800_000_000, 60_000
CASH, COMMISSION_PERCENT, SIZER_PERCENT = 1e6, 0.01, 50.0
FAST, SLOW = 10, 30
PRICES = ("open", "high", "low", "close", "volume")


def bars() -> dict[str, Any]:
    """A random walk of minutes: the prices by name, and the bars' event times (``event``, ms UTC)."""
    rng = np.random.default_rng(SEED)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, BARS)))
    opened = np.concatenate([[100.0], close[:-1]])
    wick = rng.uniform(0, 0.001, (2, BARS))
    high, low = np.maximum(opened, close) * (1 + wick[0]), np.minimum(opened, close) * (1 - wick[1])
    columns = (opened, high, low, close, rng.uniform(0, 10, BARS))
    return dict(zip(PRICES, columns, strict=True)) | {"event": T0 + MINUTE * np.arange(1, BARS + 1)}


def frame(capital: bool = False) -> Any:
    """The same bars as a pandas frame, with capitalised column names if ``capital`` is set."""
    import pandas as pd

    columns = bars()
    names = {name: name.capitalize() if capital else name for name in PRICES}
    return pd.DataFrame(
        {names[name]: columns[name] for name in PRICES}, index=pd.to_datetime(columns["event"], unit="ms")
    )


class Ledger:
    """A hash of all fills and trades, written as the same text for each engine."""

    def __init__(self) -> None:
        self.trades = 0
        self._hash = hashlib.sha256()

    def fill(self, ts: int, size: float, price: float) -> None:
        """Add a fill at event time ``ts`` (ms UTC); ``size`` is negative for a sale."""
        self._hash.update(f"fill {ts} {size!r} {price!r}\n".encode())

    def trade(self, entry_ts: int, exit_ts: int, price: float, pnl: float, net: float) -> None:
        """Add a closed trade: entry price, profit before and after commission."""
        self.trades += 1
        self._hash.update(f"trade {entry_ts} {exit_ts} {price!r} {pnl!r} {net!r}\n".encode())

    @property
    def hash(self) -> str:
        """SHA-256 of the fills and trades; equal for equal trades."""
        return self._hash.hexdigest()
