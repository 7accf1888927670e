"""Another program's bars on the log: an exchange that ccxt does not have is recorded and charted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from decks.process import Deck, eventually

PRODUCER = Path(__file__).parents[3] / "examples" / "producer.py"
ROWS = [(1_700_000_040_000 + n * 60_000, 100.0 + n, 102.5 + n, 99.0 + n, 101.25 + n, 10.0 * n) for n in range(5)]
pytestmark = pytest.mark.slow


def test_stock_bars_are_recorded_and_charted(shared_deck: Deck, tmp_path: Path) -> None:
    table = tmp_path / "bars.csv"
    lines = [",".join(map(str, ("ACME", *row))) for row in ROWS]
    table.write_text("\n".join(["symbol,ts,open,high,low,close,volume", *lines]))
    _, facts, _ = shared_deck
    command = [sys.executable, str(PRODUCER), "--config", facts["kafka"], "--exchange", "acme-stocks", str(table)]
    subprocess.run(command, check=True, timeout=300)

    def stored() -> list[tuple[Any, ...]]:
        with psycopg.connect(facts["dsn"]) as connection:
            query = "SELECT (extract(epoch from ts) * 1000)::bigint, open, high, low, close, volume FROM bars"
            return connection.execute(query + " WHERE exchange = 'acme-stocks' ORDER BY ts").fetchall()

    eventually(lambda: len(stored()) == len(ROWS))
    assert stored() == ROWS
    query: dict[str, str | int] = {
        "symbol": "acme-stocks:ACME",
        "resolution": "1",
        "from": ROWS[0][0] // 1000,
        "to": ROWS[-1][0] // 1000 + 1,
    }
    answer = httpx.get(f"{facts['gateway']}history", params=query, timeout=60).json()
    assert answer["c"] == [row[4] for row in ROWS]
