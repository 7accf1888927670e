"""Bars put in order on disk: what comes in no order is sorted in bounded memory."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from tapedeck.store.bars import Block
from tapedeck_replay.tape import LAST_SYMBOL, After

CACHE_KIB = 16_384
BLOCK_BARS = 5_000
Row: TypeAlias = tuple[int, str, int, float, float, float, float, float, bool]
"""(open, symbol, revision, open, high, low, close, volume, whether it was live)"""

_TABLE = """
CREATE TABLE bars (
    ts INTEGER, symbol TEXT, rev INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL,
    live INTEGER, PRIMARY KEY (ts, symbol)
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ts, symbol) DO UPDATE SET rev = excluded.rev,
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
    live = excluded.live
WHERE (excluded.rev, excluded.live) > (rev, live)
"""
_NEXT = """
SELECT ts, symbol, rev, open, high, low, close, volume FROM bars WHERE (ts, symbol) > (?, ?) ORDER BY ts, symbol LIMIT ?
"""


class Spool:
    """A file of its own, gone with the object.

    Of a bar that came more than once the highest revision is kept, and of these the live one.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tapedeck-spool-")
        self._path = Path(self._folder.name) / "bars"
        with closing(self._connect()) as connection:
            connection.execute(_TABLE)

    def put(self, rows: Iterable[Row]) -> None:
        """Take some rows, in one transaction."""
        with closing(self._connect()) as connection:
            connection.executemany(_PUT, rows)
            connection.commit()

    def numbers(self) -> dict[str, int]:
        """How many bars each symbol has, sorted by symbol."""
        with closing(self._connect()) as connection:
            return dict(connection.execute("SELECT symbol, count(*) FROM bars GROUP BY symbol ORDER BY symbol"))

    def span(self) -> tuple[int, int]:
        """First and last open."""
        with closing(self._connect()) as connection:
            first, last = connection.execute("SELECT min(ts), max(ts) FROM bars").fetchone()
        return first, last

    def count(self, symbols: tuple[str, ...], before: int) -> int:
        """Bars of some symbols with an open before a time."""
        marks = ", ".join("?" * len(symbols))
        with closing(self._connect()) as connection:
            query = f"SELECT count(*) FROM bars WHERE ts < ? AND symbol IN ({marks})"  # noqa: S608 - marks alone
            return int(connection.execute(query, (before, *symbols)).fetchone()[0])

    def check(self, symbols: tuple[str, ...]) -> str:
        """A fingerprint of all there is."""
        check = 0
        for block in self.blocks(symbols, None):
            for column in vars(block).values():
                check = zlib.crc32(column.tobytes(), check)
        return f"{check:08x}"

    def blocks(self, symbols: tuple[str, ...], after: After | None) -> Iterator[Block]:
        """Bars of some symbols in order, those later than ``after``."""
        place = {symbol: index for index, symbol in enumerate(symbols)}
        ts, symbol = (-(2**63), LAST_SYMBOL) if after is None else after[:2]
        with closing(self._connect()) as connection:
            while rows := connection.execute(_NEXT, (ts, symbol, BLOCK_BARS)).fetchall():
                ts, symbol = rows[-1][:2]
                wanted = [row for row in rows if row[1] in place]
                if wanted:
                    yield _block(wanted, place)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path)
        for pragma in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


def _block(rows: list[Any], place: dict[str, int]) -> Block:
    ts, names, rev, *prices = zip(*rows, strict=True)
    open_, high, low, close, volume = map(np.array, prices)
    series = np.array([place[name] for name in names], dtype=np.int64)
    return Block(series, np.array(ts, dtype=np.int64), open_, high, low, close, volume, np.array(rev, dtype=np.int64))
