"""Cells, lines, archives and tables: the forms that all layouts share."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layouts.market import BARS, Bar

OHLCV = ["open", "high", "low", "close", "volume"]
NAMELESS = "__index_level_0__"  # the column of an index that has no name in pandas
Content = str | bytes
Files = Mapping[str, Content]
"""Name in the layout's folder → what is in it."""


def eight(value: Decimal) -> str:
    return f"{value:.8f}"


def floats(bar: Bar) -> list[float]:
    return [float(value) for value in bar[1:]]


def lines(rows: Iterable[Iterable[Any]], header: str = "", sep: str = ",") -> str:
    cells = ([format(cell, "f") if isinstance(cell, Decimal) else str(cell) for cell in row] for row in rows)
    return (header and header + "\n") + "".join(sep.join(row) + "\n" for row in cells)


def utc(ts: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).strftime(form)


def twice(rows: Sequence[Any], at: int = 7) -> list[Any]:
    """One row stands in the file twice."""
    return [*rows[: at + 1], *rows[at:]]


def zipped(members: Files) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def gzipped(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def table(time: str, kind: pa.DataType, factor: float = 1) -> pa.Table:
    """The minute bars; ``factor`` makes the times out of milliseconds."""
    columns = {time: pa.array([int(b.ts * factor) for b in BARS["1m"]], pa.int64()).cast(kind)}
    return pa.table(columns | {name: [float(b[n]) for b in BARS["1m"]] for n, name in enumerate(OHLCV, 1)})


def indexed(content: pa.Table) -> pa.Table:
    """The table as pandas writes it whose index, without a name, are the times."""
    floats = {"pandas_type": "float64", "numpy_type": "float64", "metadata": None}
    columns: list[dict[str, Any]] = [{"name": name, "field_name": name} | floats for name in OHLCV]
    times: dict[str, Any] = {
        "pandas_type": "datetimetz",
        "numpy_type": "datetime64[ms]",
        "metadata": {"timezone": "UTC"},
    }
    columns.append({"name": None, "field_name": NAMELESS} | times)
    about = json.dumps({"index_columns": [NAMELESS], "column_indexes": [], "columns": columns})
    return content.select([*OHLCV, NAMELESS]).replace_schema_metadata({"pandas": about})


def feather(content: pa.Table) -> bytes:
    sink = BytesIO()
    with pa.ipc.new_file(sink, content.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(content)
    return sink.getvalue()


def parquet(content: pa.Table) -> bytes:
    sink = BytesIO()
    pq.write_table(content, sink)
    return sink.getvalue()
