"""A temporary table on disk that sorts records that arrive in any order, in bounded memory.

Unlike an external sort it removes duplicates, counts records, and can be read from any key.
"""

from __future__ import annotations

import sqlite3
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tapedeck_common.market import Bar, Trade, trade_id_key
from tapedeck_common.store.bars import BarBlock
from tapedeck_common.store.trades import TradeBlock
from tapedeck_crds.errors import Unavailable
from tapedeck_replay.source.dataset import LAST_SYMBOL, RecordBlock, StartAfter

PRAGMAS = ("cache_size = -16384", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE")  # in KiB
BLOCK_ROWS = 5_000
SqlValue: TypeAlias = int | float | str
TableRow: TypeAlias = tuple[Any, ...]
"""A record's columns, in the order of its table's."""
B = TypeVar("B", bound=RecordBlock)


class SortedTable(ABC, Generic[B]):
    """An SQLite file that is deleted with the object. COLUMNS begin with those of KEY. Raises Unavailable."""

    COLUMNS: ClassVar[str]
    INSERT: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tapedeck-sort-")
        self._path = Path(self._folder.name) / "rows"
        key = ", ".join(self.KEY)
        marks = ", ".join("?" * len(self.KEY))
        self._select_after = f"SELECT * FROM records WHERE ({key}) > ({marks}) ORDER BY {key} LIMIT ?"  # noqa: S608 - constants
        with self._connection() as connection:
            connection.execute(f"CREATE TABLE records ({self.COLUMNS}, PRIMARY KEY ({key})) WITHOUT ROWID")

    @abstractmethod
    def _key_of(self, after: StartAfter) -> tuple[SqlValue, ...]:
        """The bound as a key of the table."""

    @staticmethod
    @abstractmethod
    def block(rows: list[TableRow], symbol_index: dict[str, int]) -> B:
        """Rows as columns."""

    def insert(self, rows: Iterable[TableRow]) -> None:
        """Insert rows in one transaction."""
        with self._connection() as connection:
            connection.executemany(self.INSERT, rows)
            connection.commit()

    def rows_by_symbol(self) -> dict[str, int]:
        """The number of rows of each symbol, sorted by symbol."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT symbol, count(*) FROM records GROUP BY symbol ORDER BY symbol"))

    def span(self) -> tuple[int, int]:
        """The first and the last time, milliseconds UTC. The table must not be empty."""
        with self._connection() as connection:
            first, last = connection.execute("SELECT min(ts), max(ts) FROM records").fetchone()
        return first, last

    def count(self, symbols: tuple[str, ...], before: int) -> int:
        """The number of rows of these symbols before a time, milliseconds UTC."""
        marks = ", ".join("?" * len(symbols))
        with self._connection() as connection:
            query = f"SELECT count(*) FROM records WHERE ts < ? AND symbol IN ({marks})"  # noqa: S608 - marks alone
            return int(connection.execute(query, (before, *symbols)).fetchone()[0])

    def checksum(self, symbols: tuple[str, ...]) -> str:
        """CRC-32 of the rows of these symbols, in hex."""
        checksum = 0
        for block in self.blocks(symbols, None):
            for column in vars(block).values():
                checksum = zlib.crc32(_bytes(column), checksum)
        return f"{checksum:08x}"

    def blocks(self, symbols: tuple[str, ...], after: StartAfter | None) -> Iterator[B]:
        """The rows of these symbols in order, from the first one after ``after``."""
        symbol_index = {symbol: index for index, symbol in enumerate(symbols)}
        key = self._key_of(StartAfter(-(2**63), LAST_SYMBOL) if after is None else after)
        with self._connection() as connection:
            while rows := connection.execute(self._select_after, (*key, BLOCK_ROWS)).fetchall():
                key = rows[-1][: len(self.KEY)]
                selected = [row for row in rows if row[1] in symbol_index]
                if selected:
                    yield self.block(selected, symbol_index)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file. Errors become Unavailable: another node's disk may have room, or this one later."""
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                for pragma in PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path}: got {error}, expected disk space for the source's records") from error


class SortedBars(SortedTable[BarBlock]):
    """Bars: (open time, symbol, revision, open, high, low, close, volume, whether it was live).

    Of several versions of a bar the one with the highest revision is kept; at equal revisions live has precedence.
    """

    KEY = ("ts", "symbol")
    COLUMNS = (
        "ts INTEGER, symbol TEXT, rev INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL, live INTEGER"
    )
    INSERT = """
    INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ts, symbol) DO UPDATE SET rev = excluded.rev,
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, live = excluded.live
    WHERE (excluded.rev, excluded.live) > (rev, live)
    """

    @staticmethod
    def row(bar: Bar, live: bool = False) -> TableRow:
        return (bar.ts, bar.symbol, bar.rev, bar.open, bar.high, bar.low, bar.close, bar.volume, live)

    def _key_of(self, after: StartAfter) -> tuple[SqlValue, ...]:
        return after[:2]

    @staticmethod
    def block(rows: list[TableRow], symbol_index: dict[str, int]) -> BarBlock:
        ts, symbols, rev, *prices, _live = zip(*rows, strict=True)
        open_, high, low, close, volume = map(np.array, prices)
        series = np.array([symbol_index[symbol] for symbol in symbols], dtype=np.int64)
        revisions = np.array(rev, dtype=np.int64)
        return BarBlock(series, np.array(ts, dtype=np.int64), open_, high, low, close, volume, revisions)


class SortedTrades(SortedTable[TradeBlock]):
    """Trades: (time, symbol, seq, length of the id, id, price, amount, side). Of repeated trades the first is kept."""

    KEY = ("ts", "symbol", "seq", "digits", "id")
    COLUMNS = (
        "ts INTEGER, symbol TEXT, seq INTEGER, digits INTEGER, id TEXT, price REAL, amount REAL, side TEXT, "
        "UNIQUE (ts, symbol, id)"
    )
    INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

    @staticmethod
    def row(trade: Trade) -> TableRow:
        return (trade.ts, trade.symbol, trade.seq, *trade_id_key(trade.id), trade.price, trade.amount, trade.side)

    def _key_of(self, after: StartAfter) -> tuple[SqlValue, ...]:
        seq, id_ = after.trade
        return (after.ts, after.symbol, seq, *trade_id_key(id_))

    @staticmethod
    def block(rows: list[TableRow], symbol_index: dict[str, int]) -> TradeBlock:
        ts, symbols, seq, _digits, ids, price, amount, side = zip(*rows, strict=True)
        series = np.array([symbol_index[symbol] for symbol in symbols], dtype=np.int64)
        times = np.array(ts, dtype=np.int64)
        numbers = np.array(seq, dtype=np.int64)
        return TradeBlock(series, times, numbers, list(ids), np.array(price), np.array(amount), list(side))


def _bytes(column: npt.NDArray[np.generic] | Sequence[str]) -> bytes:
    return column.tobytes() if isinstance(column, np.ndarray) else "\n".join(column).encode()
