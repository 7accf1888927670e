"""Bounds of JSON that is read in parts: of the bytes of a row, and of the depth of values within each other.

The parser holds a row as a whole, and for each level the path to it.
"""

from __future__ import annotations

from typing import BinaryIO

from tapedeck_common.files.errors import InvalidFiles, NotMarketData

ROW_BYTES_MAX = 2**19
"""Bytes between the ends of two rows."""
DEPTH_MAX = 100
_STRUCTURE = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_BRACKETS = bytes.maketrans(b"{}", b"[]")


class BoundedJson:
    """A JSON text for a parser, which reads it in parts. ``count`` is the number of bytes that it has read.

    Reading raises InvalidFiles where a bound is exceeded: NotMarketData before the first row.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._depth = _Depth()
        self._since_row = 0
        self._error_type: type[InvalidFiles] = NotMarketData
        self.count = 0

    def on_row(self) -> None:
        """The parser has given a row."""
        self._since_row = 0
        self._error_type = InvalidFiles

    def read(self, size: int) -> bytes:
        """The next bytes."""
        part = self._stream.read(size)
        self.count += len(part)
        self._since_row += len(part)
        if self._since_row > ROW_BYTES_MAX:
            raise self._error_type(
                f"{self._name}: got more than {ROW_BYTES_MAX} bytes of JSON without the end of a row, expected an "
                "array of rows, or a row on each line, each of less"
            )
        if self._depth.of(part) > DEPTH_MAX:
            raise self._error_type(
                f"{self._name}: got JSON values nested more than {DEPTH_MAX} deep, expected rows of market data"
            )
        return part


class _Depth:
    """The depth of values in a text that is given in parts."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def of(self, part: bytes) -> int:
        """The depth of the deepest value of the next part, or some more: never less."""
        brackets = self._brackets(part)
        levels = 0  # of values that begin and end within the part
        while levels <= DEPTH_MAX and len(rest := brackets.replace(b"[]", b"")) < len(brackets):
            brackets = rest
            levels += 1
        ended = brackets.count(b"]")
        before, self._depth = self._depth, max(self._depth - ended, 0) + len(brackets) - ended
        return max(before, self._depth) + levels

    def _brackets(self, part: bytes) -> bytes:
        """The brackets of a part that are in no string, all of them as square ones."""
        if self._is_escaped and part:
            part = part[1:]
            self._is_escaped = False
        if b"\\" in part:
            part = part.replace(b"\\\\", b"").replace(b'\\"', b"")
            self._is_escaped = part.endswith(b"\\")
        signs = part.translate(None, _OTHERS).replace(b'""', b"")  # what follows two quotes is in a string, or not
        outside = signs.split(b'"')[int(self._is_in_string) :: 2]
        self._is_in_string ^= signs.count(b'"') % 2 == 1
        return b"".join(outside).translate(_BRACKETS)
