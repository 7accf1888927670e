"""Rows of an export as columns of Arrow: texts, integers and floats; times are integers, milliseconds UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn, Row

Batch: TypeAlias = Any
"""A RecordBatch with a column for each ExportColumn, in their order."""
_TYPES: dict[ColumnType, Any] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.MARKET_TIME: pa.int64(),
    ColumnType.WALL_TIME: pa.int64(),
    ColumnType.JSON: pa.string(),
}


def batch_of(columns: Sequence[ExportColumn], arrays: Sequence[Any]) -> Batch:
    """The columns' arrays as a batch."""
    return pa.record_batch(list(arrays), pa.schema([(column.name, _TYPES[column.type]) for column in columns]))


def rows_of(batch: Batch) -> list[Row]:
    """The rows as tuples."""
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
