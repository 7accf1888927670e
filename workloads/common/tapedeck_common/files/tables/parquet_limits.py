"""What reading a Parquet file takes, checked before it is done: a page of some bytes can expand to any size.

Sizes in the file's directory are claims of whoever wrote it. Those in the headers of pages are what is allocated.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from tapedeck_common.files.content.bounds import EXPANSION_MAX, FREE_BYTES
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.tables.compact_thrift import Fields, InvalidThrift, StructReader

FOOTER_MAX = 8 * 2**20
FOOTER_STRUCTS_MAX = 150_000
"""Structs of the directory: six of each column in each row group. One of some bytes takes some 700 in memory."""
PAGES_MAX = 96 * 2**20
"""Bytes of the pages that are held at a time, one of each column: libraries write pages of some 1 MB."""
TEXT_MAX = 255
"""Bytes of a text: an id, a side, an interval."""
FREE_TEXT_BYTES = 65_536
DECIMAL_BYTES_MAX = 32

_HEADER_BYTES, _HEADER_MAX, _HEADER_STRUCTS_MAX = 1_024, 65_536, 100
_TRAILER_BYTES, _LENGTH_BYTES = 8, 4
_KIND, _SIZE, _COMPRESSED_SIZE, _DATA, _DICTIONARY, _DATA_V2 = 1, 2, 3, 5, 7, 8  # fields of a page's header
_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4  # fields of the headers in it
_DELTA_BYTE_ARRAY = 7


def check_footer(name: str, stream: BinaryIO) -> None:
    """Raises InvalidFiles where the file's directory is larger than that of market data."""
    end = stream.seek(0, io.SEEK_END)
    stream.seek(max(end - _TRAILER_BYTES, 0))
    length, magic = int.from_bytes(stream.read(_LENGTH_BYTES), "little"), stream.read()
    if magic != b"PAR1":
        return  # no Parquet, as the library then says
    if length > FOOTER_MAX:
        raise InvalidFiles(f"{name}: got a directory of {length} bytes, expected at most {FOOTER_MAX}")
    stream.seek(max(end - _TRAILER_BYTES - length, 0))
    try:
        StructReader(stream.read(length), FOOTER_STRUCTS_MAX).read()
    except InvalidThrift as error:
        raise InvalidFiles(f"{name}: cannot be read: its directory has {error}") from None
    finally:
        stream.seek(0)


class PageLimits:
    """The limits of one file's pages: those of ``columns``, of which ``texts`` hold text."""

    def __init__(self, name: str, stream: BinaryIO, columns: Collection[str], texts: Collection[str]) -> None:
        self._name = name
        self._stream = stream
        self._columns, self._texts = columns, texts
        size = stream.seek(0, io.SEEK_END)
        self._left = max(size * EXPANSION_MAX, FREE_BYTES)
        self._stored_left = size  # columns may be told to be in the same place

    def check(self, metadata: Any, group: int) -> None:
        """Raises InvalidFiles where the pages of a row group expand to more than market data does."""
        held = 0
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if column.path_in_schema in self._columns:
                is_text = column.path_in_schema in self._texts
                self._check_type(metadata.schema.column(index), is_text=is_text)
                held += max(
                    (self._check_page(page, column, is_text=is_text) for page in self._pages(column)), default=0
                )
        if held > PAGES_MAX:
            raise self._refused(f"pages of {held} bytes at a time", f"at most {PAGES_MAX}; write pages of 1 MB")

    def check_texts(self, name: str, column: Any) -> None:
        """Raises InvalidFiles for a text above TEXT_MAX in a column of a batch."""
        import pyarrow.compute as pc

        longest = pc.max(pc.binary_length(getattr(column, "dictionary", column))).as_py() or 0
        if longest > TEXT_MAX:
            raise self._refused(f"a text of {longest} bytes in {name}", f"at most {TEXT_MAX}")

    def _check_type(self, column: Any, *, is_text: bool) -> None:
        if column.physical_type == "BYTE_ARRAY" and not is_text:
            raise self._refused(f"{column.path} as BYTE_ARRAY", "numbers of a fixed length")
        if column.length > DECIMAL_BYTES_MAX:
            raise self._refused(f"{column.path} of {column.length} bytes", f"at most {DECIMAL_BYTES_MAX}")

    def _check_page(self, page: Fields, column: Any, *, is_text: bool) -> int:
        """Returns the page's size, in bytes."""
        size, values, encoding = _number(page, _SIZE), 0, -1
        for field, encoding_field in ((_DATA, _ENCODING), (_DATA_V2, _ENCODING_V2)):
            if isinstance(header := page.get(field), dict):
                values, encoding = _number(header, _VALUES), _number(header, encoding_field)
        self._left -= size
        if self._left < 0:
            raise self._refused(
                f"pages of more than {EXPANSION_MAX} times its size", "market data, which expands to less"
            )
        if is_text and encoding == _DELTA_BYTE_ARRAY:
            raise self._refused(f"{column.path_in_schema} in the encoding DELTA_BYTE_ARRAY", "PLAIN or RLE_DICTIONARY")
        if is_text and encoding >= 0 and size > FREE_TEXT_BYTES + TEXT_MAX * values:
            raise self._refused(
                f"a page of {size} bytes for {values} texts of {column.path_in_schema}", f"at most {TEXT_MAX} for each"
            )
        return size

    def _pages(self, column: Any) -> Iterator[Fields]:
        """The headers of a column's pages in a row group."""
        starts = [column.data_page_offset]
        if column.has_dictionary_page and column.dictionary_page_offset:
            starts.append(column.dictionary_page_offset)
        position = min(starts)
        end = position + column.total_compressed_size
        while position < end:
            try:
                header, length = self._header_at(position)
            except InvalidThrift as error:
                raise self._refused(f"a page of {column.path_in_schema} whose header has {error}", "a page") from None
            yield header
            stored = length + _number(header, _COMPRESSED_SIZE)
            position += stored
            self._stored_left -= stored
            if self._stored_left < 0:
                raise self._refused("pages of more bytes than the file has", "columns each in a place of its own")

    def _header_at(self, position: int) -> tuple[Fields, int]:
        """The header of the page there, and its length. Raises InvalidThrift."""
        for count in (_HEADER_BYTES, _HEADER_MAX):
            self._stream.seek(position)
            reader = StructReader(self._stream.read(count), _HEADER_STRUCTS_MAX)
            try:
                return _checked(reader.read()), reader.position
            except InvalidThrift:
                if count == _HEADER_MAX:
                    raise
        raise AssertionError

    def _refused(self, got: str, expected: str) -> InvalidFiles:
        return InvalidFiles(f"{self._name}: got {got}, expected {expected}")


def _checked(header: Fields) -> Fields:
    if min(_number(header, field, -1) for field in (_KIND, _SIZE, _COMPRESSED_SIZE)) < 0:
        raise InvalidThrift("no sizes")
    return header


def _number(fields: Fields, field: int, default: int = 0) -> int:
    value = fields.get(field)
    return value if isinstance(value, int) else default
