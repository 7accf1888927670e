"""Bars in files."""

from __future__ import annotations

from collections.abc import Iterator

from tapedeck_common.files import merged_bars
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Block
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_replay.file_records import FileRecords
from tapedeck_replay.spool import BarSpool, Row, Spool


class FileSource(FileRecords[Bar, Block]):
    """Bars of the files below a folder."""

    CHANNEL = "bars"

    def _merged(self) -> Iterator[Bar]:
        return merged_bars(self._files, self._root, self._credentials)

    def _length(self) -> int:
        return INTERVAL_MS[self._files.interval]

    def _kept(self) -> type[Spool[Block]]:
        return BarSpool

    def _row(self, bar: Bar) -> Row:
        return BarSpool.row(bar)
