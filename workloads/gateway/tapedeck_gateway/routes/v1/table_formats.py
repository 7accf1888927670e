"""Rows of one type as CSV, Arrow or Parquet, page by page, so that memory is bounded whatever the number of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import inspect

from tapedeck_gateway.api_types.fields import TIME
from tapedeck_gateway.routes.v1.compression import ByteQueue

TableFormat: TypeAlias = Literal["csv", "arrow", "parquet"]
Columns: TypeAlias = Sequence[Any]
PAGE_ROWS = 50_000
MEDIA_TYPES: dict[TableFormat, str] = {
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


class TableColumn(NamedTuple):
    """A column of a table, with its type in Arrow."""

    name: str
    type: Any


_OF_FIELD: tuple[tuple[type[inspect.Type], Any], ...] = (
    (inspect.BoolType, pa.bool_()),
    (inspect.IntType, pa.int64()),
    (inspect.FloatType, pa.float64()),
    (inspect.StrType, pa.string()),
    (inspect.LiteralType, pa.string()),  # of texts
)


def columns_of(row: type[msgspec.Struct]) -> tuple[TableColumn, ...]:
    """The columns of a type of rows, by the names that JSON has."""
    described = inspect.type_info(row)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"row: got {row!r}, expected a Struct")
    return tuple(TableColumn(field.encode_name, _arrow_type(field.type)) for field in described.fields)


def table_stream(format_: TableFormat, columns: Sequence[TableColumn], pages: Iterable[Columns]) -> Iterator[bytes]:
    """The bytes of the table; a page without columns has no rows."""
    return _STREAMS[format_](columns, (page for page in pages if len(page)))


def _csv(columns: Sequence[TableColumn], pages: Iterable[Columns]) -> Iterator[bytes]:
    """A header and rows: floats to their last digit, times in milliseconds UTC, null as an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for page in pages:
        writer.writerows(zip(*map(plain_values, page), strict=True))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _arrow(columns: Sequence[TableColumn], pages: Iterable[Columns]) -> Iterator[bytes]:
    return _written(columns, pages, lambda sink, schema: pa.ipc.new_stream(sink, schema))


def _parquet(columns: Sequence[TableColumn], pages: Iterable[Columns]) -> Iterator[bytes]:
    return _written(columns, pages, lambda sink, schema: pq.ParquetWriter(sink, schema, compression="zstd"))


def _written(
    columns: Sequence[TableColumn], pages: Iterable[Columns], opened: Callable[[Any, Any], Any]
) -> Iterator[bytes]:
    schema, sink = pa.schema(list(columns)), ByteQueue()
    with opened(pa.PythonFile(sink, mode="w"), schema) as writer:
        for page in pages:
            writer.write_batch(_batch(schema, page))
            yield sink.take()
    yield sink.take()


_STREAMS: dict[TableFormat, Callable[[Sequence[TableColumn], Iterable[Columns]], Iterator[bytes]]] = {
    "csv": _csv,
    "arrow": _arrow,
    "parquet": _parquet,
}


def plain_values(column: Any) -> Sequence[Any]:
    """A column as Python's numbers and texts."""
    values: Sequence[Any] = column.tolist() if isinstance(column, np.ndarray) else column
    return values


def _batch(schema: Any, page: Columns) -> Any:
    arrays = [_array(column, type_) for column, type_ in zip(page, schema.types, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _array(column: Any, type_: Any) -> Any:
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, np.ndarray) and pa.types.is_timestamp(type_):
        return pa.array(column.astype(np.int64, copy=False), pa.int64()).view(type_)
    return pa.array(column, type=type_)


def _arrow_type(field: inspect.Type) -> Any:
    if isinstance(field, inspect.Metadata):
        return pa.timestamp("ms", "UTC") if field.extra == TIME else _arrow_type(field.type)
    if isinstance(field, inspect.UnionType):
        return _arrow_type(next(each for each in field.types if not isinstance(each, inspect.NoneType)))
    return next(arrow for kind, arrow in _OF_FIELD if isinstance(field, kind))
