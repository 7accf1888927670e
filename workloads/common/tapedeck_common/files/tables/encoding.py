"""The encoding of text, by its byte order mark or its bytes, and its lines as UTF-8."""

from __future__ import annotations

import codecs
import io
from typing import Any, BinaryIO, cast

from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_crds.text import quoted

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_OF_NAMES = frozenset(("idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"))
"""Codecs of names, addresses and source code: they hold what they have not decoded, and decode it again and again."""


def encoding_of(head: bytes, name: str, given: str = "") -> str:
    """The codec of a text with these first bytes. Raises InvalidFiles where they are no text."""
    if given:
        try:
            b"a\n".decode(given, "replace")
            codec = codecs.lookup(given).name
            if codec in _OF_NAMES:
                raise LookupError(codec)
            return codec
        except (LookupError, UnicodeError):
            raise InvalidFiles(
                f"encoding: got {quoted(given)}, expected one such as utf-8, utf-16 or latin-1"
            ) from None
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec
    if b"\0" in head:
        if codec := _utf16_without_mark(head):
            return codec
        raise NotMarketData(f"{name}: holds bytes that are no text, expected a table of market data")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return "latin-1"
    # Lines that end with a carriage return alone are those of old Macs.
    return "utf-8-sig" if b"\r" in head and b"\n" not in head else "utf-8"


def _utf16_without_mark(head: bytes) -> str:
    """The byte order of a text of Latin letters, every second byte of which is 0."""
    even, odd = head[::2], head[1::2]
    if even and odd and set(odd) == {0} and 0 not in even:
        return "utf-16-le"
    return "utf-16-be" if even and set(even) == {0} and 0 not in odd else ""


class Recoded(io.RawIOBase):
    """A text of any encoding as bytes of UTF-8, its lines ended by a line feed."""

    def __init__(self, stream: BinaryIO, codec: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding=codec, errors="replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if not self._rest:
            self._rest = self._text.read(len(view) // 4 or 1).encode()
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


def as_utf8(stream: BinaryIO, codec: str) -> BinaryIO:
    """The stream as UTF-8 with line feeds; itself where it is that already."""
    return stream if codec == "utf-8" else cast(BinaryIO, io.BufferedReader(Recoded(stream, codec)))
