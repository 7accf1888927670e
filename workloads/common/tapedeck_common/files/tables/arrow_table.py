"""Tables with types: Parquet files and those of Arrow (Feather), read in batches."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, TypeAlias

from tapedeck_common.files.content.bounds import BUFFER_BYTES, check_rows
from tapedeck_common.files.content.seekable import seekable
from tapedeck_common.files.content.unpacking import FileContent
from tapedeck_common.files.tables.arrow_limits import check_batches, check_texts, check_types
from tapedeck_common.files.tables.parquet_limits import PageLimits, check_footer
from tapedeck_common.files.tables.table import BATCH_ROWS, SAMPLE_ROWS, ColumnBatch, Table

IsWanted: TypeAlias = Callable[[int, str], bool]
"""Whether a column is to be read, by its place from 0 and its name."""
PARQUET, ARROW, FEATHER_V1 = b"PAR1", b"ARROW1", b"FEA1"


def parquet_table(content: FileContent, is_wanted: IsWanted) -> Table:
    """The wanted columns of a Parquet file. Raises InvalidFiles and errors of pyarrow."""
    import pyarrow.parquet as pq

    stream = seekable(content.name, content.stream)
    check_footer(content.name, stream)
    metadata = pq.read_metadata(stream)
    schema = metadata.schema.to_arrow_schema()
    names = _names(schema)
    wanted = [schema.names[place] for place, name in enumerate(names) if is_wanted(place, name)]
    batches = _parquet_batches(content.name, stream, metadata, schema, wanted)
    return _table(content, schema, names, batches)


def arrow_table(content: FileContent, is_wanted: IsWanted) -> Table:
    """The wanted columns of a file of Arrow. Raises InvalidFiles and errors of pyarrow."""
    import pyarrow as pa

    raw = seekable(content.name, content.stream)
    check_batches(content.name, raw)
    stream = pa.PythonFile(raw, "r")
    schema = pa.ipc.open_file(stream).schema
    names = _names(schema)
    wanted = [place for place, name in enumerate(names) if is_wanted(place, name)]
    check_types(content.name, schema, wanted)
    stream.seek(0)
    file = pa.ipc.open_file(stream, options=pa.ipc.IpcReadOptions(included_fields=wanted))
    return _table(content, schema, names, _arrow_batches(content.name, file))


def _parquet_batches(name: str, stream: BinaryIO, metadata: Any, schema: Any, columns: list[str]) -> Iterator[Any]:
    """The columns' rows, at most BATCH_ROWS at a time. Columns of text are dictionaries, so that no text is copied.

    Raises InvalidFiles where a limit is exceeded, before the memory is taken.
    """
    import pyarrow.parquet as pq
    from pyarrow import types

    size = stream.seek(0, io.SEEK_END)
    check_rows(name, metadata.num_rows, size)
    text_types = (types.is_string, types.is_large_string, types.is_dictionary, types.is_binary)
    texts = [each for each in columns if any(is_text(schema.field(each).type) for is_text in text_types)]
    limits = PageLimits(name, stream, columns, texts)
    table = pq.ParquetFile(stream, metadata=metadata, read_dictionary=texts, buffer_size=BUFFER_BYTES)
    rows = 0
    for group in range(metadata.num_row_groups):
        limits.check(metadata, group)
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
            rows += len(batch)  # the directory may claim fewer
            check_rows(name, rows, size)
            for text in texts:
                limits.check_texts(text, batch.column(batch.schema.get_field_index(text)))
            yield batch


def _arrow_batches(name: str, file: Any) -> Iterator[Any]:
    for number in range(file.num_record_batches):
        batch = file.get_batch(number)
        check_texts(name, batch)
        yield from _parts(batch)


def _parts(batch: Any) -> Iterator[Any]:
    return (batch.slice(start, BATCH_ROWS) for start in range(0, len(batch), BATCH_ROWS))


def _table(content: FileContent, schema: Any, names: tuple[str, ...], batches: Iterator[Any]) -> Table:
    first = next(batches, None)
    sample = [] if first is None else _as_text(first.slice(0, SAMPLE_ROWS), schema.names)
    found = _numbered(chain([first] if first is not None else (), batches), schema.names)
    return Table(content.name, content.stem, names, sample, found, tuple(schema.types))


def _names(schema: Any) -> tuple[str, ...]:
    """The names of the columns; empty for an index of pandas that had none."""
    unnamed = _unnamed_indexes(schema)
    return tuple("" if name in unnamed else name for name in schema.names)


def _unnamed_indexes(schema: Any) -> set[str]:
    try:
        indexes = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        return {name for name in indexes if isinstance(name, str) and name.startswith("__index_level_")}
    except (KeyError, TypeError, ValueError):
        return set()


def _numbered(batches: Iterator[Any], names: Sequence[str]) -> Iterator[ColumnBatch]:
    """The batches with a column for each name: one of nulls where it is not read."""
    import pyarrow as pa

    number = 1
    for batch in batches:
        there = dict(zip(batch.schema.names, batch.columns, strict=True))
        nulls = pa.nulls(len(batch), pa.string())
        yield ColumnBatch(range(number, number + len(batch)), [there.get(name, nulls) for name in names])
        number += len(batch)


def _as_text(batch: Any, names: Sequence[str]) -> list[list[str | None]]:
    there = {name: _texts(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    nothing: list[str | None] = [None] * len(batch)
    return [list(row) for row in zip(*(there.get(name, nothing) for name in names), strict=True)]


def _texts(column: Any) -> list[str | None]:
    """The values as text; that of a type without one is left out."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return [None if value is None else str(value) for value in column.to_pylist()]
    except (ValueError, OverflowError, UnicodeDecodeError):
        return [None] * len(column)
