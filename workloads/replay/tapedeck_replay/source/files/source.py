"""Bars and trades from files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock
from typing import ClassVar, Generic, TypeVar

from tapedeck_common.files import FilesAccess, ReadingNotes, StrictReader
from tapedeck_common.logs import log
from tapedeck_common.market import Bar, Trade
from tapedeck_common.store.bars import BarBlock
from tapedeck_common.store.trades import TradeBlock
from tapedeck_crds.files import Files
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.source import Played
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import Dataset, RecordBlock, StartAfter
from tapedeck_replay.source.files.summary import differences, summarize, translated_errors
from tapedeck_replay.source.sorted_table import BLOCK_ROWS, SortedBars, SortedTable, SortedTrades, TableRow

R = TypeVar("R", Bar, Trade)
B = TypeVar("B", bound=RecordBlock)


class FileSource(ABC, Generic[R, B]):
    """Records of the files in a folder, sorted into a table on disk. So the order of a file's rows does not matter.

    ``resolve`` reads all files, so that an invalid row is reported at once. A later pod's table is compared with the
    dataset's fingerprint; rows that were appended after the dataset's end are ignored.
    """

    CHANNEL: ClassVar[Played]

    def __init__(self, files: Files, access: FilesAccess, heartbeat: Callable[[], None]) -> None:
        self._files = files
        self._access = access
        self._heartbeat = heartbeat
        self._notes = ReadingNotes()
        self._dataset: Dataset | None = None  # with the symbols of all shards
        self._copy: SortedTable[B] | None = None
        self._copying = Lock()  # the thread that reads ahead and the one that counts may both need it

    @abstractmethod
    def _read(self, end: int | None) -> Iterator[R]:
        """The records before ``end``, symbol after symbol. Raises InvalidFiles, FilesUnavailable, CannotSort."""

    @abstractmethod
    def _end(self, last: int) -> int:
        """The end of the dataset, of which a record's time is the last."""

    @abstractmethod
    def _table_type(self) -> type[SortedTable[B]]:
        """The table that sorts these records."""

    @abstractmethod
    def _row(self, record: R) -> TableRow:
        """A record as a row of the table."""

    def resolve(self) -> Dataset:
        files, table = self._files, self._table_type()()
        found = summarize(files, self._copy_into(table, None), self.CHANNEL, self._heartbeat)
        self._copy = table
        for symbol, count in found.missing.items():
            log.warning("trades are missing by their ids, which count up", symbol=symbol, trades=count)
        for reason in self._notes.skipped:
            log.warning("left out of an archive", reason=reason)
        self._dataset = Dataset(
            files.exchange,
            found.symbols,
            files.interval,
            found.first,
            self._end(found.last),
            found.rows,
            found.fingerprint,
            channel=self.CHANNEL,
        )
        return self._dataset

    def resume(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._table()

    def count(self, dataset: Dataset, v: int) -> int:
        return self._table().count(dataset.symbols, dataset.time_of(v) + 1)

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[B]:
        return self._table().blocks(dataset.symbols, after)

    def _table(self) -> SortedTable[B]:
        with self._copying:
            if self._copy is None:
                self._copy = self._copied()
            return self._copy

    def _copied(self) -> SortedTable[B]:
        """A copy of the whole dataset. Raises InvalidReplay ``DataChanged`` where the files differ from it."""
        table, dataset = self._table_type()(), self._dataset
        if dataset is None:
            raise ValueError("expected a call of resolve or resume before")
        try:
            found = summarize(self._files, self._copy_into(table, dataset.end), self.CHANNEL, self._heartbeat)
        except InvalidReplay as error:  # the files were valid when the dataset was resolved
            raise _data_changed(str(error)) from error
        if found.fingerprint != dataset.fingerprint:
            raise _data_changed(differences(dataset.fingerprint, found.fingerprint))
        return table

    def _reader(self, end: int | None) -> StrictReader:
        return StrictReader(self._files, self._access, end, self._heartbeat, self._notes)

    def _copy_into(self, table: SortedTable[B], end: int | None) -> Iterator[R]:
        """The records before a time, each yielded after it is inserted."""
        with translated_errors():
            records = self._read(end)
            while part := list(islice(records, BLOCK_ROWS)):
                table.insert(map(self._row, part))
                yield from part


class FileBarSource(FileSource[Bar, BarBlock]):
    """Bars of the files in a folder."""

    CHANNEL = "bars"

    def _read(self, end: int | None) -> Iterator[Bar]:
        return self._reader(end).bars()

    def _end(self, last: int) -> int:
        return BAR_LENGTHS[self._files.interval].close_of(last)

    def _table_type(self) -> type[SortedTable[BarBlock]]:
        return SortedBars

    def _row(self, bar: Bar) -> TableRow:
        return SortedBars.row(bar)


class FileTradeSource(FileSource[Trade, TradeBlock]):
    """Trades of the files in a folder."""

    CHANNEL = "trades"

    def _read(self, end: int | None) -> Iterator[Trade]:
        return self._reader(end).trades()

    def _end(self, last: int) -> int:
        return last + 1

    def _table_type(self) -> type[SortedTable[TradeBlock]]:
        return SortedTrades

    def _row(self, trade: Trade) -> TableRow:
        return SortedTrades.row(trade)


def _data_changed(how: str) -> InvalidReplay:
    return InvalidReplay(
        "DataChanged",
        f"source.files: got other records than this Replay started with ({how}), expected unchanged files; "
        "create a new Replay",
    )
