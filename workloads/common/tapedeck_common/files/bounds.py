"""Limits of what is read from a file, so that a small file cannot fill the memory or occupy a pod for hours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from tapedeck_common.files.errors import InvalidFiles

LINE_MAX = 65_536
"""Characters of a line: a row of market data has some hundred."""
EXPANSION_MAX = 500
"""Bytes that one byte of a compressed file may expand to: market data expands to some 5 to 50."""
FREE_BYTES = 16 * 2**20
"""Bytes that a file of any size may expand to: a short file of equal rows is no attack."""
BUFFER_BYTES = 65_536


class ExpansionLimit(io.RawIOBase):
    """What a compressed file expands to, up to a limit. ``size`` is that of the compressed file, in bytes.

    Reading raises InvalidFiles beyond the limit.
    """

    def __init__(self, content: BinaryIO, size: int, name: str) -> None:
        self._content = content
        self._left = max(size * EXPANSION_MAX, FREE_BYTES)
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = self._content.read(len(view))
        self._left -= len(part)
        if self._left < 0:
            raise InvalidFiles(
                f"{self._name}: expands to more than {EXPANSION_MAX} times its size, expected market data, which "
                "expands to less"
            )
        view[: len(part)] = part
        return len(part)


def bounded_lines(content: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """(number from 1, stripped text) of each line that is not blank. Raises InvalidFiles for a line above LINE_MAX."""
    text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace")
    number = 0
    while line := text.readline(LINE_MAX + 1):
        number += 1
        if len(line) > LINE_MAX:
            raise InvalidFiles(
                f"{name}:{number}: got a line of more than {LINE_MAX} characters, expected a row of market data"
            )
        if stripped := line.strip():
            yield number, stripped
