"""The files of a source as series: of each symbol the rows, and of these records in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, NoReturn, TypeAlias

from tapedeck_common.files.dedupe import deduplicate
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.external_sort import external_sort
from tapedeck_common.files.row_checks import OnInvalid, Row
from tapedeck_common.files.rows import kind_of, read_bars, read_trades
from tapedeck_common.files.source_files import FilesAccess, InvalidRow, SourceFile, find_files
from tapedeck_common.files.source_rows import Part, SourceItem, SourceRow, ValidBlock, in_parts, items_of, single_rows
from tapedeck_common.files.splitting import SymbolItem, split
from tapedeck_common.files.table_rows import ReadingNotes
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_common.files.valid_trades import ValidTrades
from tapedeck_common.market import ArrivalOrder, Bar, Trade, bars_from_trades
from tapedeck_common.wire import decode_bar, decode_trade, encode
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.session import Session
from tapedeck_crds.text import excerpt

HEARTBEAT_ROWS = 5_000
Choose: TypeAlias = Callable[[Iterator[SymbolItem]], Iterator[SymbolItem]]
"""Takes some of the valid rows of files."""


class SymbolSeries(NamedTuple):
    """The rows of one symbol in the order of the files, to be read before the next series."""

    symbol: str
    kind: Kind
    rows: Iterator[SourceItem]


@dataclass(frozen=True)
class SeriesReader:
    """Reads the files of a source as series. Rows that are invalid go to ``on_invalid``; ``choose`` takes the others.

    Files of which a row says the symbol are read whole before the first series of the source.
    """

    files: Files
    on_invalid: OnInvalid
    choose: Choose = lambda items: items
    session: Session | None = None
    notes: ReadingNotes | None = None

    def series(self, found: dict[str, list[SourceFile]]) -> Iterator[SymbolSeries]:
        """The series of files, as ``find_files`` gives them.

        Raises InvalidFiles, at the latest after the last row of a series, FilesUnavailable and CannotSort.
        """
        if "" not in found:
            for symbol, sources in found.items():
                kind = kind_of(self.files, sources)
                yield SymbolSeries(symbol, kind, (item for _, item in self.rows(kind, sources)))
            return
        sources = [each for of_symbol in found.values() for each in of_symbol]
        kind = kind_of(self.files, sources)
        for symbol, items in split(self.rows(kind, sources)):
            yield SymbolSeries(symbol, kind, items)

    def rows(self, kind: Kind, sources: list[SourceFile]) -> Iterator[SymbolItem]:
        """The valid rows of files that are taken, in their order. Raises as ``series``."""
        read: Callable[..., Iterator[Row[Any] | ValidBlock]] = read_trades if kind == "trades" else read_bars
        return self.choose(map(_encoded, read(self.files, sources, self.on_invalid, self.session, self.notes)))


def _encoded(item: Row[Any] | ValidBlock) -> SymbolItem:
    if isinstance(item, ValidBlock):
        return item.series.symbol, item
    record = item.record
    if isinstance(record, Trade):
        return record.symbol, SourceRow(item.us, record.id, item.place, encode(record))
    return record.symbol, SourceRow(record.ts * 1_000, "", item.place, encode(record))


class TradeOrder:
    """Numbers the trades of sorted rows without repeats within their millisecond, where ids do not give the order."""

    def __init__(self) -> None:
        self._arrival = ArrivalOrder()

    def trades_of(self, part: Part) -> list[Trade]:
        """The trades of the next part. Those of a block need no number: their ids count up."""
        if isinstance(part, ValidTrades):
            trades = part.trades()
            self._arrival.follow(trades[-1])
            return trades
        return [self._arrival.numbered(decode_trade(row.value)) for row in single_rows(items_of(part))]


def trades_in_order(items: Iterable[SourceItem]) -> Iterator[Trade]:
    """The trades of sorted rows without repeats, numbered by a TradeOrder."""
    return chain.from_iterable(map(TradeOrder().trades_of, in_parts(items, 1)))


@dataclass(frozen=True)
class StrictReader:
    """Reads files of which no row may be invalid: symbol after symbol, each in order of time, without repeated rows.

    Rows at or after ``end``, and what follows the first of them of a symbol, are ignored. ``heartbeat`` is called at
    intervals while files are read; ``notes`` is completed. The methods raise FilesUnavailable for URLs, and before the
    first record of a symbol InvalidFiles for an invalid row or two rows in conflict, and CannotSort where the disk is
    full.
    """

    files: Files
    access: FilesAccess
    end: int | None = None
    heartbeat: Callable[[], None] = lambda: None
    notes: ReadingNotes = field(default_factory=ReadingNotes)

    def bars(self) -> Iterator[Bar]:
        """The bars of the files, or those that their trades make."""
        for kind, rows in self._series():
            if kind == "trades":
                yield from bars_from_trades(trades_in_order(rows), self.files.interval)
            else:
                for item in rows:
                    if isinstance(item, ValidBars):
                        yield from item.bars()
                    else:
                        yield from (decode_bar(row.value) for row in single_rows([item]))

    def trades(self) -> Iterator[Trade]:
        """The trades of the files."""
        for kind, rows in self._series():
            if kind != "trades":
                raise InvalidFiles("files: hold bars, expected trades with channel: trades")
            yield from trades_in_order(rows)

    def _series(self) -> Iterator[tuple[Kind, Iterator[SourceItem]]]:
        rows = _StrictRows(self.end, self.heartbeat)
        reader = SeriesReader(self.files, rows.keep_first, rows.chosen, notes=self.notes)
        for each in reader.series(find_files(self.files, self.access)):
            yield each.kind, deduplicate(external_sort(each.rows), lambda: None, _reject)


class _StrictRows:
    """Takes the rows before the end, and remembers the first invalid one of them.

    What follows the first row of a symbol at or after the end is ignored; an invalid row whose symbol is not known,
    where no symbol that was read is before its end.
    """

    def __init__(self, end: int | None, heartbeat: Callable[[], None]) -> None:
        self._end_us = None if end is None else end * 1_000
        self._heartbeat = heartbeat
        self._over: set[str] = set()  # symbols of which a row at the end or after it was read
        self._playing: set[str] = set()  # the others that were read
        self._invalid: InvalidRow | None = None

    def keep_first(self, row: InvalidRow) -> None:
        """Remember an invalid row."""
        is_over = row.symbol in self._over if row.symbol else bool(self._over) and not self._playing
        if self._invalid is None and not is_over:
            self._invalid = row

    def chosen(self, items: Iterator[SymbolItem]) -> Iterator[SymbolItem]:
        """Raises InvalidFiles for the files as a whole, else for the first invalid row."""
        self._over.clear()
        self._playing.clear()
        rows = 0
        for symbol, item in items:
            rows += len(item) if isinstance(item, ValidBlock) else 1
            if rows >= HEARTBEAT_ROWS:
                self._heartbeat()
                rows = 0
            if symbol in self._over:
                continue
            before = self._before_end(item)
            if before is item:
                self._playing.add(symbol)
            else:
                self._over.add(symbol)
                self._playing.discard(symbol)
            if before is not None:
                yield symbol, before
        if self._invalid is not None:
            _reject(self._invalid)

    def _before_end(self, item: SourceItem) -> SourceItem | None:
        """The rows up to the first that is at or after the end; None if that is the first."""
        if self._end_us is None:
            return item
        if not isinstance(item, ValidBlock):
            return item if item.us < self._end_us else None
        late = item.us >= self._end_us
        if not late.any():
            return item
        count = int(late.argmax())
        return item.part(slice(count)) if count else None


def _reject(invalid: InvalidRow) -> NoReturn:
    row = f"; the row: {excerpt(invalid.payload)}" if invalid.payload else ""
    raise InvalidFiles(f"{invalid.place}: {invalid.reason}{row}")
