"""Divides the rows of files with several symbols into series, on disk: each keeps the order of the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import TypeAlias

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.external_sort import PART_ROWS
from tapedeck_common.files.part_store import packed, unpacked
from tapedeck_common.files.source_rows import Part, SourceItem, in_parts, items_of
from tapedeck_common.files.temporary_disk import no_space_as_error, temporary_database

SYMBOLS_MAX = 50_000
"""Of the files of one source: every exchange has fewer."""
SymbolItem: TypeAlias = tuple[str, SourceItem]


def split(items: Iterable[SymbolItem]) -> Iterator[tuple[str, Iterator[SourceItem]]]:
    """(symbol, its rows) of each symbol, in the order of the alphabet; each to be read before the next.

    All rows are read before the first symbol is given. Raises InvalidFiles for more than SYMBOLS_MAX symbols, and
    CannotSort where the disk is full.
    """
    with temporary_database() as database:
        with no_space_as_error():
            database.execute("CREATE TABLE parts (symbol TEXT, part BLOB)")
            database.execute("BEGIN")
            rows = ((symbol, packed(part)) for symbol, part in _parts(items))
            database.executemany("INSERT INTO parts VALUES (?, ?)", rows)
            database.execute("CREATE INDEX by_symbol ON parts (symbol)")
            symbols = [row[0] for row in database.execute("SELECT DISTINCT symbol FROM parts ORDER BY symbol")]
        if len(symbols) > SYMBOLS_MAX:
            raise InvalidFiles(f"symbol: got {len(symbols)} symbols, expected at most {SYMBOLS_MAX}; give fewer files")
        for symbol in symbols:
            yield symbol, chain.from_iterable(map(items_of, _stored(database, symbol)))


def _parts(items: Iterable[SymbolItem]) -> Iterator[tuple[str, Part]]:
    """The rows of one symbol that follow each other, together."""
    for symbol, of_symbol in groupby(items, key=itemgetter(0)):
        for part in in_parts((item for _, item in of_symbol), PART_ROWS):
            yield symbol, part


def _stored(database: sqlite3.Connection, symbol: str) -> Iterator[Part]:
    found = database.execute("SELECT part FROM parts WHERE symbol = ? ORDER BY rowid", [symbol])
    return (unpacked(data) for (data,) in found)
