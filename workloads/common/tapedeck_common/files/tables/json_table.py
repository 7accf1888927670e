"""Tables in JSON: an array of rows, one within an object, or a row on each line; rows are arrays or objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, cast

from tapedeck_common.files.content.unpacking import FileContent
from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_common.files.tables.json_bounds import BoundedJson
from tapedeck_common.files.tables.table import BATCH_ROWS, SAMPLE_ROWS, ColumnBatch, InvalidCells, Table
from tapedeck_crds.text import excerpt

DEPTH_MAX = 4
"""Objects around the array of the rows."""
CELLS_MAX = 1_000
FREE_CELLS = 1_000_000
"""Cells that rows of any size may have, and beyond them for each byte: objects may leave out any number of them."""
SAMPLE_BYTES = 2**19
BATCH_BYTES = 2**20
BATCH_CELLS = 2**20


def json_table(content: FileContent) -> Table:
    """The table of a JSON text. Raises InvalidFiles."""
    source = BoundedJson(content.stream, content.name)
    rows = _rows(content, source)
    first = next(_parts(rows, source, SAMPLE_ROWS, SAMPLE_BYTES), None)
    if first is None:
        raise InvalidFiles(f"{content.name}: is empty, expected rows of market data")
    names = _names(first)
    if names is not None and all(isinstance(first[0].get(name), list) for name in names[:2]):
        raise InvalidFiles(f"{content.name}: is JSON by columns, expected an array of rows, or a row on each line")
    width = len(names) if names is not None else max(map(len, first))
    if width > CELLS_MAX:
        raise InvalidFiles(f"{content.name}: got {width} columns, expected at most {CELLS_MAX}")
    sample = [row for row in (_cells(each, names) for each in first) if len(row) == width]
    parts = _parts(chain(first, rows), source, min(BATCH_ROWS, BATCH_CELLS // max(width, 1)), BATCH_BYTES)
    return Table(content.name, content.stem, names, sample, _batches(content.name, source, parts, names, width))


def _parts(rows: Iterator[Any], source: BoundedJson, rows_max: int, bytes_max: int) -> Iterator[list[Any]]:
    """The rows in parts of at most so many, which take little more than so many bytes of the text."""
    part: list[Any] = []
    start = source.count
    for row in rows:
        part.append(row)
        if len(part) == rows_max or source.count - start > bytes_max:
            yield part
            part, start = [], source.count
    if part:
        yield part


def _rows(content: FileContent, source: BoundedJson) -> Iterator[Any]:
    """The rows of the first array of rows, else the values on lines. Each is a list or a dict.

    A text without any is no market data, such as a list of names or an INI file, which begins with a bracket, too.
    """
    import ijson

    error_type: type[InvalidFiles] = NotMarketData
    try:
        prefix = _prefix_of_rows(content)
        for row in ijson.items(source, prefix, use_float=True, multiple_values=True):
            source.on_row()
            if not isinstance(row, list | dict):
                raise error_type(f"{content.name}: got {excerpt(str(row))} among the rows, expected arrays or objects")
            if len(row) > CELLS_MAX:
                raise InvalidFiles(f"{content.name}: got a row of {len(row)} cells, expected at most {CELLS_MAX}")
            error_type = InvalidFiles
            yield row
    except ijson.JSONError as error:
        raise error_type(f"{content.name}: is no JSON ({excerpt(str(error).splitlines()[0])})") from None


def _prefix_of_rows(content: FileContent) -> str:
    """Where the rows are, in ijson's notation: the items of the first array of arrays or objects, else the values."""
    import ijson

    head = cast(io.BufferedReader, content.stream).peek(1)
    array: str | None = None
    with suppress(ijson.IncompleteJSONError):
        bounded = BoundedJson(cast(BinaryIO, io.BytesIO(head)), content.name)
        for prefix, event, _ in ijson.parse(bounded, use_float=True, multiple_values=True):
            if array is not None and event in ("start_array", "start_map"):
                return f"{array}.item" if array else "item"
            array = prefix if event == "start_array" else None
            if prefix.count(".") > DEPTH_MAX or (not prefix and event in ("end_array", "end_map")):
                break
    return ""


def _names(rows: Sequence[Any]) -> tuple[str, ...] | None:
    """The names of the columns of rows that are objects, in the order in which they appear."""
    if all(isinstance(row, list) for row in rows):
        return None
    return tuple(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def _cells(row: Any, names: tuple[str, ...] | None) -> list[str | None]:
    if isinstance(row, dict):
        return [_text(row.get(name)) for name in names or ()]
    return [_text(cell) for cell in row]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else json.dumps(value)


def _batches(
    name: str, source: BoundedJson, parts: Iterator[list[Any]], names: tuple[str, ...] | None, width: int
) -> Iterator[ColumnBatch]:
    import pyarrow as pa

    number = 0
    for part in parts:
        numbers, cells, invalid = [], [], []
        if (number + len(part)) * width > FREE_CELLS + source.count:
            raise InvalidFiles(
                f"{name}: got {number + len(part)} rows of {width} columns in {source.count} bytes of JSON, expected "
                f"at most a cell for each byte beyond {FREE_CELLS}"
            )
        for row in part:
            number += 1
            found = _cells(row, names)
            if len(found) == width and isinstance(row, dict) == (names is not None):
                numbers.append(number)
                cells.append(found)
            else:
                reason = f"columns: got {len(found)}, expected {width} as in the first rows"
                invalid.append(InvalidCells(number, reason, ",".join(cell or "" for cell in found)))
        columns = [pa.array(column, pa.string()) for column in zip(*cells, strict=True)]
        yield ColumnBatch(numbers, columns or [pa.array([], pa.string())] * width, invalid)
