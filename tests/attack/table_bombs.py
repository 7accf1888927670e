"""Small tables that ask for much memory or time: JSON, and directories of Parquet and Arrow."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator

from attack.archive_bombs import MIB, T0, gzipped

NAMES = ("ts", "open", "high", "low", "close", "volume")


def rows(count: int = 3) -> list[dict[str, object]]:
    """Bars of minutes."""
    return [dict(zip(NAMES, (T0 + n * 60_000, 1, 2, 1, 1, 1), strict=True)) for n in range(count)]


def in_row(part: bytes, times: int, tail: bytes = b"") -> Callable[[], bytes]:
    """A row of a million times a part, behind honest ones, compressed."""
    begin = json.dumps(rows())[:-1].encode() + b","
    return lambda: gzipped(begin + b"[", part * (MIB // len(part)), times, tail or b"0]]")


def long_text(place: str) -> Callable[[], bytes]:
    """A text of 100 MiB: as a value, as a name, or behind the rows."""
    around = {"value": (b',{"ts": "', b'"}]'), "name": (b',{"', b'": 1}]'), "behind": (b'], "x": "', b'"}')}
    before, after = around[place]
    begin = (b'{"rows": ' if place == "behind" else b"") + json.dumps(rows())[:-1].encode()
    return lambda: gzipped(begin + before, b"a" * MIB, 100, after)


def nested(*opening: bytes) -> bytes:
    """60,000 values within each other."""
    return b"[" + json.dumps(rows()[0]).encode() + b"," + b"".join(opening) * (60_000 // len(opening))


def lines(row: Callable[[int], object], count: int) -> bytes:
    """A row on each line."""
    return b"\n".join(json.dumps(row(number)).encode() for number in range(count))


def long_rows() -> bytes:
    """2,000 rows with a text of 100,000 characters in each."""
    row = json.dumps(rows(1)[0] | {"note": "a" * 100_000}).encode() + b"\n"
    return gzipped(b"", row * 10, 200)


def absent_cells() -> bytes:
    """An object with 1,000 names, and a million that are without them all."""
    first = json.dumps(rows(1)[0] | {f"{n}": 0 for n in range(994)}).encode() + b"\n"
    return gzipped(first, b"{}\n" * 10_000, 100)


def parquet_lists() -> bytes:
    """A directory of Parquet with a list of eight million texts, each of one byte."""
    count = 8 * MIB - 100
    number = bytes((count >> 7 * n & 0x7F) | (0x80 if n < 3 else 0) for n in range(4))
    directory = b"\x19\xf8" + number + bytes(count) + b"\0"
    return b"PAR1" + directory + len(directory).to_bytes(4, "little") + b"PAR1"


def arrow_fields(width: int, levels: int = 0) -> bytes:
    """A file of Arrow of so many columns, all of which are told by the same bytes, as are the two within each."""
    return b"ARROW1\0\0" + (footer := _Footer(width, levels).content()) + struct.pack("<i", len(footer)) + b"ARROW1"


class _Footer:
    """A footer: https://github.com/apache/arrow/blob/main/format/File.fbs."""

    def __init__(self, width: int, levels: int) -> None:
        self._buffer = bytearray(4)
        footer = self._table(20, 4, 8, 12, 16)
        self._point(0, footer)
        struct.pack_into("<h", self._buffer, footer + 4, 4)  # the version
        for place in (footer + 12, footer + 16):
            self._vector(place, 0)
        schema = self._table(8, 0, 4)
        self._point(footer + 8, schema)
        places = [*self._vector(schema + 4, width)]
        for level in range(levels + 1):
            places = self._fields(places, 2 if level < levels else 0)

    def content(self) -> bytes:
        return bytes(self._buffer)

    def _fields(self, places: list[int], children: int) -> list[int]:
        field = self._table(20, 4, 16, 17, 8, 0, 12)
        struct.pack_into("<BB", self._buffer, field + 16, 1, 13 if children else 1)  # a struct, or nulls
        for place in places:
            self._point(place, field)
        self._point(field + 4, len(self._buffer))
        self._buffer += struct.pack("<I", 1) + b"a\0\0\0"
        self._point(field + 8, self._table(4))
        return [*self._vector(field + 12, children)]

    def _table(self, size: int, *fields: int) -> int:
        """A table of so many bytes; each field is at its offset."""
        directory = len(self._buffer)
        self._buffer += struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), size, *fields)
        self._buffer += bytes(-len(self._buffer) % 4)
        table = len(self._buffer)
        self._buffer += struct.pack("<i", table - directory) + bytes(size - 4)
        return table

    def _vector(self, place: int, count: int) -> Iterator[int]:
        self._point(place, len(self._buffer))
        self._buffer += struct.pack("<I", count) + bytes(4 * count)
        end = len(self._buffer)
        return iter(range(end - 4 * count, end, 4))

    def _point(self, place: int, target: int) -> None:
        struct.pack_into("<I", self._buffer, place, target - place)
