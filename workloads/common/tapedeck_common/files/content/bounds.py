"""Limits of what is read from a file, so that a small file cannot fill the memory or occupy a pod for hours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from tapedeck_common.files.errors import InvalidFiles

LINE_MAX = 65_536
"""Characters of a line: a row of market data has some hundred."""
BLANK_LINES_MAX = 10_000
EXPANSION_MAX = 500
"""Bytes that one byte of a compressed file may expand to: market data expands to some 5 to 50."""
FREE_BYTES = 16 * 2**20
"""Bytes that a file of any size may expand to: a short file of equal rows is no attack."""
ROWS_PER_BYTE = 4
FREE_ROWS = 100_000
"""Rows that a Parquet file of any size may have, and beyond them for each byte: market data has less than one."""
ZIP_DIRECTORY_MAX = 2**20
"""Bytes of a zip's directory, which is read as a whole: one file has some 100."""
BUFFER_BYTES = 65_536


class ZipContent:
    """A zip for ``zipfile``, which reads the directory at once. Raises InvalidFiles for one that is too large."""

    def __init__(self, content: BinaryIO, name: str) -> None:
        self._content = content
        self._name = name
        self.seek, self.tell, self.seekable = content.seek, content.tell, content.seekable

    def read(self, size: int = -1) -> bytes:
        if size <= ZIP_DIRECTORY_MAX:
            part = self._content.read(size if size >= 0 else ZIP_DIRECTORY_MAX + 1)
            if len(part) <= ZIP_DIRECTORY_MAX:
                return part
        raise InvalidFiles(f"{self._name}: got a directory of more than {ZIP_DIRECTORY_MAX} bytes, expected one file")


@dataclass
class Expanded:
    """The bytes that the compressed parts of a file have expanded to: archives may have any number of them."""

    count: int = 0


class ExpansionLimit(io.RawIOBase):
    """What a compressed file expands to, up to a limit. ``size`` is that of the compressed file, in bytes.

    ``expanded`` is what other parts of it have expanded to. Reading raises InvalidFiles beyond the limit.
    """

    def __init__(self, content: BinaryIO, size: int, name: str, expanded: Expanded | None = None) -> None:
        self._content = content
        self._max = max(size * EXPANSION_MAX, FREE_BYTES)
        self._name = name
        self._expanded = expanded or Expanded()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = self._content.read(len(view))
        self._expanded.count += len(part)
        if self._expanded.count > self._max:
            raise InvalidFiles(
                f"{self._name}: expands to more than {EXPANSION_MAX} times its size, expected market data, which "
                "expands to less"
            )
        view[: len(part)] = part
        return len(part)


def check_rows(name: str, rows: int, size: int) -> None:
    """Raises InvalidFiles for a Parquet file of ``size`` bytes with more rows than market data can have."""
    if rows > (limit := FREE_ROWS + ROWS_PER_BYTE * size):
        raise InvalidFiles(f"{name}: got {rows} rows in {size} bytes, expected at most {limit}")


def bounded_lines(content: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """(number from 1, stripped text) of each line that is not blank.

    Raises InvalidFiles for a line above LINE_MAX, and for more than BLANK_LINES_MAX blank lines at once.
    """
    text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace")
    number = last = 0
    while line := text.readline(LINE_MAX + 1):
        number += 1
        if len(line) > LINE_MAX:
            raise InvalidFiles(
                f"{name}:{number}: got a line of more than {LINE_MAX} characters, expected a row of market data"
            )
        if stripped := line.strip():
            last = number
            yield number, stripped
        elif number - last > BLANK_LINES_MAX:
            raise InvalidFiles(f"{name}:{number}: got more than {BLANK_LINES_MAX} blank lines, expected rows")
