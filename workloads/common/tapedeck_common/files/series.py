"""A symbol's files as one series of records in order, whatever the order of their rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from tapedeck_common.files.dedupe import SourceRow, deduplicate
from tapedeck_common.files.external_sort import external_sort
from tapedeck_common.files.rows import OnInvalid, read_bars, read_trades
from tapedeck_common.files.source_files import InvalidFiles, InvalidRow, SourceFile, find_files
from tapedeck_common.market import ArrivalOrder, Bar, Trade, bars_from_trades
from tapedeck_common.wire import decode_bar, decode_trade, encode
from tapedeck_crds.base import Files


def encoded_rows(files: Files, sources: list[SourceFile], on_invalid: OnInvalid) -> Iterator[SourceRow]:
    """The valid rows of a symbol's files in the order of the files. Raises InvalidFiles, at the latest after the last
    row.
    """
    if files.of_trades:
        for us, place, trade in read_trades(files, sources, on_invalid):
            yield SourceRow(us, trade.id, place, encode(trade))
    else:
        for us, place, bar in read_bars(files, sources, on_invalid):
            yield SourceRow(us, "", place, encode(bar))


def trades_in_order(rows: Iterator[SourceRow]) -> Iterator[Trade]:
    """The trades of sorted rows, numbered within their millisecond where their ids do not give the order."""
    return map(ArrivalOrder().numbered, (decode_trade(row.value) for row in rows))


def strict_bars(files: Files, root: Path, credentials: Path | None = None, end: int | None = None) -> Iterator[Bar]:
    """The bars of the files, or those that their trades make: symbol after symbol, each in order of time.

    Repeated rows are left out; rows at or after ``end``, and what follows the first of them, are ignored. Raises
    FilesUnavailable for URLs, and before the first bar of a symbol InvalidFiles for an invalid row or two rows in
    conflict, and sqlite3.Error where the disk is full.
    """
    for sources in find_files(files, root, credentials).values():
        rows = _strict_rows(files, sources, end)
        if files.of_trades:
            yield from bars_from_trades(trades_in_order(rows), files.interval)
        else:
            yield from (decode_bar(row.value) for row in rows)


def strict_trades(files: Files, root: Path, credentials: Path | None = None, end: int | None = None) -> Iterator[Trade]:
    """As ``strict_bars``, for trades."""
    for sources in find_files(files, root, credentials).values():
        yield from trades_in_order(_strict_rows(files, sources, end))


def _strict_rows(files: Files, sources: list[SourceFile], end: int | None) -> Iterator[SourceRow]:
    return deduplicate(external_sort(_checked_rows(files, sources, end)), lambda: None, _reject)


def _checked_rows(files: Files, sources: list[SourceFile], end: int | None) -> Iterator[SourceRow]:
    """The rows before ``end``. Raises InvalidFiles for the files as a whole, else for the first invalid row."""
    invalid: list[InvalidRow] = []
    is_over = False

    def keep_first(row: InvalidRow) -> None:
        if not (invalid or is_over):
            invalid.append(row)

    for row in encoded_rows(files, sources, keep_first):
        if end is not None and row.us >= end * 1_000:
            is_over = True
        elif not is_over:
            yield row
    for first in invalid:
        _reject(first)


def _reject(invalid: InvalidRow) -> NoReturn:
    raise InvalidFiles(f"{invalid.place}: {invalid.reason}; the row: {invalid.payload[:200]}")
