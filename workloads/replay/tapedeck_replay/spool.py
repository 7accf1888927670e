"""Records put in order on disk: what comes in no order is sorted in bounded memory."""

from __future__ import annotations

import sqlite3
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np

from tapedeck_common.market import Bar, Trade
from tapedeck_common.store.bars import Block
from tapedeck_common.store.trades import ANY_ID, TradeBlock
from tapedeck_crds.errors import Unavailable
from tapedeck_replay.tape import LAST_SYMBOL, After, Rows

PRAGMAS = ("cache_size = -16384", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE")  # in KiB
BLOCK_ROWS = 5_000
Row: TypeAlias = tuple[Any, ...]
B = TypeVar("B", bound=Rows)


class Spool(ABC, Generic[B]):
    """A file of its own, gone with the object. Rows are in the order of TABLE's columns, which begin with KEY's."""

    TABLE: ClassVar[str]
    PUT: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tapedeck-spool-")
        self._path = Path(self._folder.name) / "rows"
        key = ", ".join(self.KEY)
        marks = ", ".join("?" * len(self.KEY))
        self._next = f"SELECT * FROM records WHERE ({key}) > ({marks}) ORDER BY {key} LIMIT ?"  # noqa: S608 - constants
        with self._opened() as connection:
            connection.execute(f"CREATE TABLE records ({self.TABLE}, PRIMARY KEY ({key})) WITHOUT ROWID")

    @abstractmethod
    def _place(self, after: After) -> tuple[Any, ...]:
        """The key that is not wanted any more, nor any before it."""

    @staticmethod
    @abstractmethod
    def block(rows: list[Row], place: dict[str, int]) -> B:
        """Rows as columns, series by the places of their symbols."""

    def put(self, rows: Iterable[Row]) -> None:
        """Take some rows, in one transaction."""
        with self._opened() as connection:
            connection.executemany(self.PUT, rows)
            connection.commit()

    def numbers(self) -> dict[str, int]:
        """How many rows each symbol has, sorted by symbol."""
        with self._opened() as connection:
            return dict(connection.execute("SELECT symbol, count(*) FROM records GROUP BY symbol ORDER BY symbol"))

    def span(self) -> tuple[int, int]:
        """First and last time."""
        with self._opened() as connection:
            first, last = connection.execute("SELECT min(ts), max(ts) FROM records").fetchone()
        return first, last

    def count(self, symbols: tuple[str, ...], before: int) -> int:
        """Rows of some symbols before a time."""
        marks = ", ".join("?" * len(symbols))
        with self._opened() as connection:
            query = f"SELECT count(*) FROM records WHERE ts < ? AND symbol IN ({marks})"  # noqa: S608 - marks alone
            return int(connection.execute(query, (before, *symbols)).fetchone()[0])

    def check(self, symbols: tuple[str, ...]) -> str:
        """A fingerprint of all there is."""
        check = 0
        for block in self.blocks(symbols, None):
            for column in vars(block).values():
                check = zlib.crc32(_bytes(column), check)
        return f"{check:08x}"

    def blocks(self, symbols: tuple[str, ...], after: After | None) -> Iterator[B]:
        """Rows of some symbols in order, those later than ``after``."""
        place = {symbol: index for index, symbol in enumerate(symbols)}
        key = self._place(After(-(2**63), LAST_SYMBOL) if after is None else after)
        with self._opened() as connection:
            while rows := connection.execute(self._next, (*key, BLOCK_ROWS)).fetchall():
                key = rows[-1][: len(self.KEY)]
                wanted = [row for row in rows if row[1] in place]
                if wanted:
                    yield self.block(wanted, place)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file. Raises Unavailable: another node's disk may have room, or this one later."""
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                for pragma in PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path}: got {error}, expected room for what is read from the source") from error


class BarSpool(Spool[Block]):
    """Bars: (open, symbol, revision, open, high, low, close, volume, whether it was live).

    Of a bar that came more than once the highest revision is kept, and of these the live one.
    """

    KEY = ("ts", "symbol")
    TABLE = (
        "ts INTEGER, symbol TEXT, rev INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL, live INTEGER"
    )
    PUT = """
    INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ts, symbol) DO UPDATE SET rev = excluded.rev,
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, live = excluded.live
    WHERE (excluded.rev, excluded.live) > (rev, live)
    """

    @staticmethod
    def row(bar: Bar, live: bool = False) -> Row:
        return (bar.ts, bar.symbol, bar.rev, bar.open, bar.high, bar.low, bar.close, bar.volume, live)

    def _place(self, after: After) -> tuple[Any, ...]:
        return after[:2]

    @staticmethod
    def block(rows: list[Row], place: dict[str, int]) -> Block:
        ts, names, rev, *prices, _live = zip(*rows, strict=True)
        open_, high, low, close, volume = map(np.array, prices)
        series = np.array([place[name] for name in names], dtype=np.int64)
        revisions = np.array(rev, dtype=np.int64)
        return Block(series, np.array(ts, dtype=np.int64), open_, high, low, close, volume, revisions)


class TradeSpool(Spool[TradeBlock]):
    """Trades: (time, symbol, length of the id, id, price, amount, side). One that came more than once is kept once."""

    KEY = ("ts", "symbol", "digits", "id")
    TABLE = "ts INTEGER, symbol TEXT, digits INTEGER, id TEXT, price REAL, amount REAL, side TEXT"
    PUT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

    @staticmethod
    def row(trade: Trade) -> Row:
        return (trade.ts, trade.symbol, len(trade.id), trade.id, trade.price, trade.amount, trade.side)

    def _place(self, after: After) -> tuple[Any, ...]:
        return (*after[:2], *((len(after.id), after.id) if isinstance(after.id, str) else ANY_ID))

    @staticmethod
    def block(rows: list[Row], place: dict[str, int]) -> TradeBlock:
        ts, names, _digits, ids, price, amount, side = zip(*rows, strict=True)
        series = np.array([place[name] for name in names], dtype=np.int64)
        times = np.array(ts, dtype=np.int64)
        return TradeBlock(series, times, list(ids), np.array(price), np.array(amount), list(side))


def _bytes(column: Any) -> bytes:
    return column.tobytes() if isinstance(column, np.ndarray) else "\n".join(column).encode()
