"""Rows as tables of Arrow, in groups of a size that readers can skip by their statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pyarrow as pa

from tapedeck_deck.cli.exports.batch import Batch
from tapedeck_deck.cli.exports.format import RowWriter
from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn

GROUP_ROWS = 131_072
_TIME = pa.timestamp("ms", "UTC")
_TYPES: dict[ColumnType, Any] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.MARKET_TIME: _TIME,
    ColumnType.WALL_TIME: _TIME,
    ColumnType.JSON: pa.string(),
}


class TableSink(Protocol):
    """pyarrow's writer of one file."""

    def write_table(self, table: Any) -> None:
        """Write a table as one group of rows."""

    def close(self) -> None:
        """Write the end of the file."""


class ArrowWriter(RowWriter):
    """Collects rows as columns, and writes a group of GROUP_ROWS or a little more at once."""

    def __init__(self, columns: Sequence[ExportColumn], open_sink: Callable[[Any], TableSink]) -> None:
        self._schema = pa.schema([(column.name, _TYPES[column.type]) for column in columns])
        self._sink = open_sink(self._schema)
        self._batches: list[Any] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        """Take some rows, of one column or more."""
        arrays = [column.cast(type_) for column, type_ in zip(batch.columns, self._schema.types, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._rows += len(batch)
        if self._rows >= GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write the rest and the end of the file."""
        if self._batches:
            self._write_group()
        self._sink.close()

    def _write_group(self) -> None:
        self._sink.write_table(pa.Table.from_batches(self._batches, self._schema).combine_chunks())
        self._batches, self._rows = [], 0
