"""A symbol's files as one series of records in order, whatever the order of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from tapedeck_common.files.dedupe import SourceRow, deduplicate
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.external_sort import external_sort
from tapedeck_common.files.rows import OnInvalid, kind_of, read_bars, read_trades
from tapedeck_common.files.source_files import FilesAccess, InvalidRow, SourceFile, find_files
from tapedeck_common.market import ArrivalOrder, Bar, Trade, bars_from_trades
from tapedeck_common.wire import decode_bar, decode_trade, encode
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.session import Session
from tapedeck_crds.text import excerpt

HEARTBEAT_ROWS = 5_000


def encoded_rows(
    files: Files, kind: Kind, sources: list[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[SourceRow]:
    """The valid rows of a symbol's files in the order of the files. Raises InvalidFiles, at the latest after the last
    row.
    """
    if kind == "trades":
        for us, place, trade in read_trades(files, sources, on_invalid, session):
            yield SourceRow(us, trade.id, place, encode(trade))
    else:
        for _us, place, bar in read_bars(files, sources, on_invalid, session):
            yield SourceRow(bar.ts * 1_000, "", place, encode(bar))


def trades_in_order(rows: Iterator[SourceRow]) -> Iterator[Trade]:
    """The trades of sorted rows, numbered within their millisecond where their ids do not give the order."""
    return map(ArrivalOrder().numbered, (decode_trade(row.value) for row in rows))


@dataclass(frozen=True)
class StrictReader:
    """Reads files of which no row may be invalid: symbol after symbol, each in order of time, without repeated rows.

    Rows at or after ``end``, and what follows the first of them, are ignored. ``heartbeat`` is called at intervals
    while files are read. The methods raise FilesUnavailable for URLs, and before the first record of a symbol
    InvalidFiles for an invalid row or two rows in conflict, and CannotSort where the disk is full.
    """

    files: Files
    access: FilesAccess
    end: int | None = None
    heartbeat: Callable[[], None] = lambda: None

    def bars(self) -> Iterator[Bar]:
        """The bars of the files, or those that their trades make."""
        for kind, rows in self._series():
            if kind == "trades":
                yield from bars_from_trades(trades_in_order(rows), self.files.interval)
            else:
                yield from (decode_bar(row.value) for row in rows)

    def trades(self) -> Iterator[Trade]:
        """The trades of the files."""
        for kind, rows in self._series():
            if kind != "trades":
                raise InvalidFiles("files: hold bars, expected trades with channel: trades")
            yield from trades_in_order(rows)

    def _series(self) -> Iterator[tuple[Kind, Iterator[SourceRow]]]:
        for sources in find_files(self.files, self.access).values():
            kind = kind_of(self.files, sources)
            yield kind, deduplicate(external_sort(self._checked_rows(kind, sources)), lambda: None, _reject)

    def _checked_rows(self, kind: Kind, sources: list[SourceFile]) -> Iterator[SourceRow]:
        """The rows before the end. Raises InvalidFiles for the files as a whole, else for the first invalid row."""
        invalid: list[InvalidRow] = []
        is_over = False

        def keep_first(row: InvalidRow) -> None:
            if not (invalid or is_over):
                invalid.append(row)

        for number, row in enumerate(encoded_rows(self.files, kind, sources, keep_first), 1):
            if number % HEARTBEAT_ROWS == 0:
                self.heartbeat()
            if self.end is not None and row.us >= self.end * 1_000:
                is_over = True
            elif not is_over:
                yield row
        for first in invalid:
            _reject(first)


def _reject(invalid: InvalidRow) -> NoReturn:
    row = f"; the row: {excerpt(invalid.payload)}" if invalid.payload else ""
    raise InvalidFiles(f"{invalid.place}: {invalid.reason}{row}")
