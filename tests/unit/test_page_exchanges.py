"""The page knows which exchanges a Feed can download from: those of ccxt.pro, and cryptocompare."""

from __future__ import annotations

import re
from pathlib import Path

import ccxt.pro

SOURCE = Path(__file__).parents[2] / "workloads/gateway/web/src/markets/downloaded.ts"


def test_the_page_knows_the_exchanges_of_ccxt() -> None:
    listed = re.search(r"IDS = `([^`]*)`", SOURCE.read_text())
    assert listed is not None
    assert listed[1].split() == sorted([*ccxt.pro.exchanges, "cryptocompare"])
