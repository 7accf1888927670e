"""Bars in Parquet files, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tapedeck.files.fields import TS_END
from tapedeck.files.source import READING_FAILS, BadFiles, SourceFile, open_file, unreadable
from tapedeck.files.table import COLUMNS
from tapedeck.market import Bar
from tapedeck_crds.base import Files

BATCH_ROWS = 10_000


def parquet_bars(files: Files, file: SourceFile) -> Iterator[tuple[int, Bar | str]]:
    """(row number from 1, the bar or what is wrong with the row). Raises BadFiles.

    Columns ts (timestamp with a time zone, or integer milliseconds UTC), open, high, low, close, volume as
    numbers, in any order; others are ignored, but an interval has to be the one that is stated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_file(file) as stream, pq.ParquetFile(stream) as table:
            names = _columns(file, table.schema_arrow)
            number = 0
            for batch in table.iter_batches(BATCH_ROWS, columns=list(names.values())):
                found = {name: batch.column(batch.schema.get_field_index(column)) for name, column in names.items()}
                stamps = found["ts"]
                if pa.types.is_timestamp(stamps.type):
                    stamps = stamps.cast(pa.timestamp("ms", "UTC"), safe=False)
                columns = [stamps.cast(pa.int64()).to_pylist()]
                columns += [found[name].cast(pa.float64()).to_pylist() for name in COLUMNS[1:]]
                lengths = found["interval"].to_pylist() if "interval" in found else [files.interval] * len(batch)
                for length, row in zip(lengths, zip(*columns, strict=True), strict=True):
                    number += 1
                    yield number, _bar(files, file, row, length)
    except (*READING_FAILS, pa.ArrowException) as error:
        raise unreadable(file, error) from error


def _columns(file: SourceFile, schema: Any) -> dict[str, str]:
    import pyarrow as pa

    there = {name.lower(): name for name in schema.names}
    missing = [name for name in COLUMNS if name not in there]
    if missing:
        raise BadFiles(f"{file.name}: lacks columns {', '.join(missing)}; found {', '.join(schema.names)[:200]}")
    stamp = schema.field(there["ts"]).type
    if pa.types.is_timestamp(stamp) and stamp.tz is None:
        raise BadFiles(f"{file.name}: ts: got times without a time zone, expected a zone such as UTC")
    if not (pa.types.is_timestamp(stamp) or pa.types.is_integer(stamp)):
        raise BadFiles(f"{file.name}: ts: got {stamp}, expected timestamps with a zone or integer milliseconds UTC")
    for name in COLUMNS[1:]:
        kind = schema.field(there[name]).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise BadFiles(f"{file.name}: {name}: got {kind}, expected numbers")
    return {name: there[name] for name in (*COLUMNS, "interval") if name in there}


def _bar(files: Files, file: SourceFile, row: tuple[Any, ...], interval: str) -> Bar | str:
    if None in row:
        return f"{COLUMNS[row.index(None)]}: got nothing, expected a value"
    if interval != files.interval:
        return f"interval: got {interval}, expected {files.interval} alone"
    ts, open_, high, low, close, volume = row
    if not 0 <= ts < TS_END:
        return f"ts: got {ts}, expected milliseconds UTC between 1970 and 2100"
    return Bar(files.exchange, file.symbol, files.interval, ts, open_, high, low, close, volume)
