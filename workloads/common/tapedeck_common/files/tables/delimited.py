"""Text tables: rows of cells with a delimiter, read by pyarrow in blocks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from tapedeck_common.files.content.bounds import LINE_MAX
from tapedeck_common.files.content.unpacking import FileContent
from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_common.files.tables.dialect import (
    Dialect,
    TableStart,
    cells_of,
    completed,
    grouped_number,
    is_markdown,
    start_of,
)
from tapedeck_common.files.tables.encoding import as_utf8, encoding_of
from tapedeck_common.files.tables.table import SAMPLE_ROWS, ColumnBatch, InvalidCells, Table

HEAD_BYTES = 262_144
BLOCK_BYTES = 1 << 20
COLUMNS_MAX = 1_000
TYPED_FAILURES_MAX = 8
"""Blocks of a file that are read twice because their values are of other types than most files' are."""


def text_table(
    content: FileContent, given: Dialect, encoding: str, is_header: Callable[[Sequence[str]], bool]
) -> Table:
    """The table of a text. ``is_header`` tells a line of names that readers know. Raises InvalidFiles."""
    stream = as_utf8(content.stream, encoding_of(_peek(content.stream), content.name, encoding))
    head = stream.read(HEAD_BYTES)
    lines = _whole_lines(head)
    if not any(map(str.strip, lines)):
        raise InvalidFiles(f"{content.name}: is empty, expected rows of market data")
    _check_lines(content.name, lines)
    if is_markdown(lines):
        raise NotMarketData(f"{content.name}: is a text in Markdown, expected market data")
    dialect = completed(given, lines)
    if number := grouped_number(given, dialect, _rows(lines, dialect)):
        raise InvalidFiles(
            f"{content.name}: decimal: got numbers such as {number}, which may be {number.replace(',', '.', 1)} or "
            f"{number.replace(',', '')}; declare decimal: ',' or thousands: ','"
        )
    start = start_of(lines, dialect, is_header)
    if start.width > COLUMNS_MAX:
        raise InvalidFiles(f"{content.name}: got {start.width} columns, expected at most {COLUMNS_MAX}")
    sample = [cells_of(line, dialect) for line in _rows(lines[start.line :], dialect)[:SAMPLE_ROWS]]
    rows = [cast(list[str | None], row) for row in sample if len(row) == start.width]
    reader = _Reader(content.name, dialect, start)
    return Table(
        content.name,
        content.stem,
        start.names,
        rows,
        reader.batches(head, stream),
        decimal=dialect.decimal,
        thousands=dialect.thousands,
        read_as=reader.read_as,
    )


class _Reader:
    """Reads the rows below a table's start, a block of whole lines at a time."""

    def __init__(self, name: str, dialect: Dialect, start: TableStart) -> None:
        self._name = name
        self._dialect = dialect
        self._start = start
        self._columns = [str(number) for number in range(max(start.width, 1))]
        self._types: Mapping[int, Any] = {}
        self._failures = 0  # blocks whose values are of other types
        self._line = 0  # lines before the block
        self._skipped: list[int] = []
        self._invalid: list[InvalidCells] = []

    def read_as(self, types: Mapping[int, Any]) -> None:
        """Read columns as these types, by their places, where all values of a block are."""
        self._types = types

    def batches(self, head: bytes, stream: BinaryIO) -> Iterator[ColumnBatch]:
        left = self._start.line
        for block in _blocks(head, stream):
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            self._check_length(block)
            if left < lines and (batch := self._batch(block, left, lines)) is not None:
                yield batch
            left = max(0, left - lines)
            self._line += lines

    def _batch(self, block: bytes, skip: int, lines: int) -> ColumnBatch | None:
        self._invalid = []
        is_plain = not (b'"' in block or block.count(b"\r") != block.count(b"\r\n") or not _is_utf8(block))
        if is_plain and self._types and self._failures < TYPED_FAILURES_MAX and b"\n\n" not in block:
            typed = self._typed_batch(block, skip, lines)
            if typed is not None:
                return typed
            self._failures += 1
        return self._text_batch(block if is_plain else self._without_broken_lines(block, skip), skip, lines)

    def _typed_batch(self, block: bytes, skip: int, lines: int) -> ColumnBatch | None:
        """The rows of a block whose values are all of the types; they take half the time of text."""
        import pyarrow as pa
        from pyarrow import csv

        types = {self._columns[place]: type_ for place, type_ in self._types.items()}
        try:
            table = self._parsed(block, skip, csv.ConvertOptions(column_types=types, include_columns=[*types]))
        except pa.ArrowInvalid:
            return None
        nulls = pa.nulls(len(table))
        columns = [table.column(name).combine_chunks() if name in types else nulls for name in self._columns]
        first = self._line + skip + 1

        def as_text() -> ColumnBatch:
            text = self._text_batch(block, skip, lines)
            assert text is not None
            return text

        return ColumnBatch(range(first, first + len(table)), columns, as_text=as_text)

    def _parsed(self, block: bytes, skip: int, convert: Any, on_other_line: Callable[[Any], str] | None = None) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        return csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(use_threads=False, block_size=len(block) + 1, skip_rows=skip, column_names=self._columns),
            csv.ParseOptions(
                delimiter=self._dialect.delimiter, ignore_empty_lines=False, invalid_row_handler=on_other_line
            ),
            convert,
        )

    def _text_batch(self, block: bytes, skip: int, lines: int) -> ColumnBatch | None:
        import pyarrow as pa
        from pyarrow import csv

        self._skipped = []
        convert = csv.ConvertOptions(column_types=dict.fromkeys(self._columns, pa.string()))
        try:
            table = self._parsed(block, skip, convert, self._on_other_line)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return None
            where = f"{self._name}:{self._line + skip + 1}"
            raise InvalidFiles(f"{where}: from here, no rows are found; expected a table with closed quotes") from error
        columns = [column.combine_chunks() for column in table.columns]
        return ColumnBatch(self._numbers(skip, lines, len(table)), columns, sorted(self._invalid))

    def _without_broken_lines(self, block: bytes, skip: int) -> bytes:
        """The block with blank lines in place of those that are no rows, and would take the next with them."""
        lines = block.split(b"\n")
        for place, line in enumerate(lines):
            if reason := _broken(line):
                lines[place] = b""
                if place >= skip:
                    text = line.decode("utf-8", "replace").rstrip("\r")
                    self._invalid.append(InvalidCells(self._line + place + 1, reason, text))
        return b"\n".join(lines)

    def _on_other_line(self, row: Any) -> str:
        self._skipped.append(row.number)
        if not str(row.text).lstrip().startswith(self._dialect.comment):
            reason = f"columns: got {row.actual_columns}, expected {row.expected_columns} as in the first rows"
            self._invalid.append(InvalidCells(self._line + row.number, reason, str(row.text)))
        return "skip"

    def _numbers(self, skip: int, lines: int, rows: int) -> Sequence[int]:
        """The numbers of the rows in the file; those of lines that are no rows are left out."""
        if not self._skipped:
            return range(self._line + skip + 1, self._line + skip + rows + 1)
        skipped = set(self._skipped)
        return [self._line + number for number in range(skip + 1, lines + 1) if number not in skipped][:rows]

    def _check_length(self, block: bytes) -> None:
        start = 0  # of a line
        while start + LINE_MAX < len(block):
            end = block.rfind(b"\n", start, start + LINE_MAX + 1)
            if end < 0:
                raise _too_long(self._name, self._line + block.count(b"\n", 0, start) + 1)
            start = end + 1


def _broken(line: bytes) -> str | None:
    """What is wrong with a line that cannot be divided into cells."""
    if line.count(b'"') % 2:
        return "quotes: got one that is not closed, expected a row of CSV"
    if b"\r" in line.removesuffix(b"\r"):  # to the library the end of a line
        return "text: got a carriage return, expected a row of CSV"
    return None if _is_utf8(line) else "text: got bytes that are no UTF-8, expected a row of CSV; declare `encoding`"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _blocks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The text in blocks of whole lines; a line that is longer than a block is cut."""
    rest, part = head, stream.read(BLOCK_BYTES)
    while part:
        block = rest + part
        end = block.rfind(b"\n") + 1 or len(block)
        yield block[:end]
        rest, part = block[end:], stream.read(BLOCK_BYTES)
    if rest:
        yield rest


def _too_long(name: str, number: int) -> InvalidFiles:
    return InvalidFiles(
        f"{name}:{number}: got a line of more than {LINE_MAX} characters, expected a row of market data"
    )


def _peek(stream: BinaryIO) -> bytes:
    assert isinstance(stream, io.BufferedReader)
    return stream.peek(1)


def _whole_lines(head: bytes) -> list[str]:
    """The lines of a text's first bytes, without the last where it may be cut."""
    lines = head.decode("utf-8", "replace").split("\n")
    return [line.rstrip("\r") for line in (lines[:-1] if len(head) == HEAD_BYTES and len(lines) > 1 else lines)]


def _check_lines(name: str, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            raise _too_long(name, number)


def _rows(lines: Sequence[str], dialect: Dialect) -> list[str]:
    return [line for line in lines if line.strip() and not line.lstrip().startswith(dialect.comment)]
