"""The sample data, read independently of Tapedeck's readers."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

SYMBOLS = {"btcusd": "BTC/USD", "ethusd": "ETH/USD", "ltcusd": "LTC/USD", "btceur": "BTC/EUR"}
COINBASE_BARS = {"BTC/USD": 3887, "ETH/USD": 2449, "LTC/USD": 3887, "BTC/EUR": 3663}
BINANCE_TRADES = {"BTC/USDT": 9757, "ETH/USDT": 6106}

Ohlcv = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""

Table = dict[tuple[str, int], Ohlcv]
"""By symbol and ts."""


def coinbase(folder: Path) -> Table:
    """Every bar of the zips, with times computed by datetime arithmetic."""
    table: Table = {}
    for path in folder.glob("*.zip"):
        ticker, day = path.stem.split("_")
        midnight = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=timezone(timedelta(0)))
        with zipfile.ZipFile(path) as archive:
            for line in archive.read(archive.namelist()[0]).decode().split():
                since, opened, high, low, close, volume = map(float, line.split(","))
                moment = midnight + timedelta(milliseconds=int(since))
                table[SYMBOLS[ticker], round(moment.timestamp()) * 1000] = opened, high, low, close, volume
    return table


def binance_messages(path: Path) -> list[dict[str, Any]]:
    """The trade messages of a recording, in order of arrival."""
    with gzip.open(path, "rt") as lines:
        return [json.loads(line.split(" ", 1)[1])["data"] for line in lines]


def binance_bars(path: Path, *, seconds: int = 60) -> dict[int, Ohlcv]:
    """ts → open, high, low, close, volume of bars of ``seconds``, computed by pandas."""
    frame = pd.DataFrame(binance_messages(path)).sort_values(["T", "t"])
    frame["open"] = frame["T"] - frame["T"] % (seconds * 1000)
    frame["price"] = frame["p"].astype(float)
    frame["amount"] = frame["q"].map(Decimal)
    bars = frame.groupby("open").agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("amount", lambda column: float(sum(column))),
    )
    columns = (bars[name].tolist() for name in ("open", "high", "low", "close", "volume"))
    return dict(zip(bars.index.tolist(), zip(*columns, strict=True), strict=True))
