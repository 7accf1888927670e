"""CSV with a header: floats to their last digit, times of markets in milliseconds UTC, others as RFC 3339 text.

One series of bars or trades has the columns that a Feed from files reads; other exports have all columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import BinaryIO

from tapedeck_crds.base import format_ms
from tapedeck_deck.cli.exports.batch import Batch, rows_of
from tapedeck_deck.cli.exports.format import PRICES, ExportFormat, RowWriter
from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn, ExportKind, Row
from tapedeck_deck.cli.exports.selection import ExportSelection

_OF_ONE_SERIES = {"bars": ("ts", *PRICES), "trades": ("ts", "id", "price", "amount", "side")}


class CsvWriter(RowWriter):
    """Writes rows as UTF-8 text; NULL is an empty cell."""

    def __init__(self, stream: BinaryIO, columns: Sequence[ExportColumn]) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._wall_times = {i for i, column in enumerate(columns) if column.type is ColumnType.WALL_TIME}
        self._writer.writerow([column.name for column in columns])

    def write(self, batch: Batch) -> None:
        """Write rows; the module csv writes a float by repr, its shortest exact text."""
        rows = rows_of(batch)
        self._writer.writerows([self._with_times(row) for row in rows] if self._wall_times else rows)

    def close(self) -> None:
        """Write what is buffered."""
        self._text.flush()
        self._text.detach()

    def _with_times(self, row: Row) -> list[object]:
        return [
            format_ms(value) if i in self._wall_times and value is not None else value for i, value in enumerate(row)
        ]


def csv_columns(kind: ExportKind, selection: ExportSelection) -> tuple[ExportColumn, ...]:
    """Of one series the columns that can be imported again, else all."""
    one_series = _OF_ONE_SERIES.get(kind.name) if selection.is_one_series(kind) else None
    return kind.columns if one_series is None else kind.columns_named(one_series)


FORMAT = ExportFormat("csv", CsvWriter, (".csv",), csv_columns, binary=False)
