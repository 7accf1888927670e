"""The rows of a query by COPY, decoded column by column.

Of all ways out of PostgreSQL this one takes the server and the client the least time. The format is described under
"Binary Format" in PostgreSQL's documentation of COPY; libpq gives each row as a message of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg import pq, sql

from tapedeck_deck.cli.exports.batch import Batch, batch_of
from tapedeck_deck.cli.exports.kinds import ColumnType, ExportColumn

BATCH_ROWS = 20_000
BATCH_BYTES = 16 * 2**20
"""A batch ends at so many rows or bytes."""
HEADER_BYTES = 19  # before the first row
TRAILER_BYTES = 2  # behind the last row
NUMBER_BYTES = 8
Positions: TypeAlias = npt.NDArray[np.int64]
_NUMBERS = {ColumnType.FLOAT: ">f8", ColumnType.INTEGER: ">i8", ColumnType.MARKET_TIME: ">i8",
            ColumnType.WALL_TIME: ">i8"}  # fmt: skip


def copied_rows(
    connection: psycopg.Connection[Any], query: sql.Composable, columns: Sequence[ExportColumn]
) -> Generator[Batch, None, None]:
    """The rows of a query for these columns, in batches, so that memory is bounded whatever their number.

    Raises psycopg.Error. The connection is closed where not all are read.
    """
    data, sizes = bytearray(), array("q")
    for row in _copied(connection, query):
        data += row
        sizes.append(len(row))
        if len(sizes) == BATCH_ROWS or len(data) >= BATCH_BYTES:
            yield decoded(data, sizes, columns)
            data, sizes = bytearray(), array("q")
    if sizes:
        yield decoded(data, sizes, columns)


def decoded(data: bytearray, sizes: array[int], columns: Sequence[ExportColumn]) -> Batch:
    """Rows in the binary format, one after the other, as columns."""
    data += bytes(NUMBER_BYTES)  # so that as many follow every position
    ends = np.cumsum(np.array(sizes))
    at = np.concatenate(([0], ends[:-1])) + 2  # behind the number of columns
    arrays = []
    for column in columns:
        lengths = _gathered(data, ">i4", at).astype(np.int64)
        at = at + 4
        dtype = _NUMBERS.get(column.type)
        arrays.append(_texts(data, at, lengths) if dtype is None else _numbers(data, dtype, at, lengths))
        at = at + np.maximum(lengths, 0)
    return batch_of(columns, arrays)


def _copied(connection: psycopg.Connection[Any], query: sql.Composable) -> Iterator[memoryview]:
    """The rows from libpq itself: psycopg's own reader takes four times as long for each."""
    # An index gives the order at once; a sort would need the size of the table on the server's disk first.
    connection.execute("SET LOCAL enable_sort = off")
    libpq = connection.pgconn
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
    started = libpq.exec_(statement.as_bytes(connection))
    if started.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.OperationalError(started.get_error_message())
    is_over = False
    try:
        size, row = libpq.get_copy_data(0)
        if size >= 0:
            row = row[HEADER_BYTES:]
        while size >= 0:
            if len(row) > TRAILER_BYTES:
                yield row
            size, row = libpq.get_copy_data(0)
        ended = libpq.get_result()
        is_over = libpq.get_result() is None
        if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.OperationalError("no end of COPY" if ended is None else ended.get_error_message())
    finally:
        if not is_over:
            connection.close()


def _gathered(data: bytearray, dtype: str, at: Positions) -> npt.NDArray[Any]:
    """The numbers at these positions of the bytes."""
    count = len(data) - np.dtype(dtype).itemsize + 1
    every: npt.NDArray[Any] = np.ndarray((count,), dtype, data, strides=(1,))
    return every[at]


def _numbers(data: bytearray, dtype: str, at: Positions, lengths: Positions) -> Any:
    values = _gathered(data, dtype, at)
    values = values.astype(values.dtype.newbyteorder("="))
    return pa.array(values, mask=lengths < 0 if (lengths < 0).any() else None)


def _texts(data: bytearray, at: Positions, lengths: Positions) -> Any:
    is_null = lengths < 0
    sizes = np.maximum(lengths, 0)
    ends = np.cumsum(sizes)
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    sources = np.arange(offsets[-1]) + np.repeat(at - (ends - sizes), sizes)
    letters = np.frombuffer(data, np.uint8)[sources]
    validity = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if is_null.any() else None
    return pa.StringArray.from_buffers(len(at), pa.py_buffer(offsets), pa.py_buffer(letters), validity)
