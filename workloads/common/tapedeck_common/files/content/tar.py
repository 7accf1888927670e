"""The files in a tar, read from its start to its end. ``tarfile`` would hold long headers of any size and number."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from tapedeck_common.files.content.bounds import BUFFER_BYTES
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_crds.text import excerpt

HEADERS_MAX = 50_000
"""Headers of a tar: a file has up to four, with those of what a Mac adds."""
LONG_HEADER_MAX = 2**20
"""Bytes of a header with a long name or with attributes."""
LONG_HEADERS_MAX = 16 * 2**20
"""Bytes of all of them."""
_LENGTH_DIGITS = 20
_PAX, _PAX_OF_ALL = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE), tarfile.XGLTYPE
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


class TarMember(NamedTuple):
    """A file in a tar, to be read before the next."""

    name: str
    stream: BinaryIO


class _Attributes(NamedTuple):
    """What headers before that of a file say of it; None where they say nothing."""

    name: str | None = None
    size: int | None = None
    is_sparse: bool = False


class TarReader:
    """Reads a tar. Raises InvalidFiles, and TarError for what is none."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name = name
        self._stream = stream
        self._headers = 0
        self._long_bytes = 0

    def members(self) -> Iterator[TarMember]:
        """The members that are files."""
        of_all = of_next = _Attributes()
        while (header := self._header()) is not None:
            if header.type == _PAX_OF_ALL:
                of_all = self._attributes(header, of_all)
            elif header.type in _PAX:
                of_next = self._attributes(header, of_next)
            elif header.type == _LONG_NAME:
                of_next = of_next._replace(name=_decoded(self._long_header(header).partition(b"\0")[0]))
            elif header.type == _LONG_LINK:
                self._long_header(header)
            else:
                yield from self._member(header, of_next, of_all)
                of_next = _Attributes()

    def _member(self, header: tarfile.TarInfo, of_next: _Attributes, of_all: _Attributes) -> Iterator[TarMember]:
        member = of_next.name or of_all.name or header.name
        size = next(each for each in (of_next.size, of_all.size, header.size) if each is not None)
        if header.type == tarfile.GNUTYPE_SPARSE or of_next.is_sparse or of_all.is_sparse:
            raise InvalidFiles(
                f"{self._name}: got the sparse file {excerpt(member)}, expected whole files; write the tar without "
                "--sparse"
            )
        if not header.isfile() and header.type in tarfile.SUPPORTED_TYPES:
            return  # a folder or a link, of which nothing follows
        part = self._part(size)
        if header.isfile():
            yield TarMember(member, cast(BinaryIO, io.BufferedReader(part, BUFFER_BYTES)))
        self._skip(part, size)

    def _header(self) -> tarfile.TarInfo | None:
        """The next header; None at the end."""
        block = self._stream.read(tarfile.BLOCKSIZE)
        if not block or block.count(b"\0") == tarfile.BLOCKSIZE:
            return None
        self._headers += 1
        if self._headers > HEADERS_MAX:
            raise InvalidFiles(f"{self._name}: got more than {HEADERS_MAX} headers, expected at most so many")
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    def _long_header(self, header: tarfile.TarInfo) -> bytes:
        self._long_bytes += header.size
        if header.size > LONG_HEADER_MAX or self._long_bytes > LONG_HEADERS_MAX:
            raise InvalidFiles(
                f"{self._name}: got {header.size} bytes of a header with a long name or attributes, expected at most "
                f"{LONG_HEADER_MAX}, and {LONG_HEADERS_MAX} of all"
            )
        part = self._part(header.size)
        text = part.read()
        self._skip(part, header.size)
        return text

    def _attributes(self, header: tarfile.TarInfo, known: _Attributes) -> _Attributes:
        """What a header of the format pax says, beside what is known: records of a length, a key and a value."""
        text, place = self._long_header(header).rstrip(b"\0"), 0
        while place < len(text):
            blank = text.find(b" ", place, place + _LENGTH_DIGITS)
            digits = text[place : max(blank, place)]
            end = place + (int(digits) if digits.isdigit() else 0)
            if not place < blank < end <= len(text):
                raise tarfile.ReadError("invalid header")
            key, _, value = text[blank + 1 : end - 1].partition(b"=")
            if key == b"path":
                known = known._replace(name=_decoded(value))
            elif key == b"size" and value.isdigit() and len(value) <= _LENGTH_DIGITS:
                known = known._replace(size=int(value))
            elif key.startswith(b"GNU.sparse."):
                known = known._replace(is_sparse=True)
            place = end
        return known

    def _part(self, size: int) -> _Part:
        if size < 0:
            raise InvalidFiles(f"{self._name}: got a member of {size} bytes, expected 0 or more")
        return _Part(self._stream, size)

    def _skip(self, part: _Part, size: int) -> None:
        """Read what is left of a member of so many bytes, and the rest of its last block."""
        while part.read(BUFFER_BYTES):
            pass
        self._stream.read(-size % tarfile.BLOCKSIZE)


class _Part(io.RawIOBase):
    """The next bytes of a stream, so many."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = self._stream.read(min(len(view), self._left))
        if not part and self._left and len(view):
            raise tarfile.ReadError("unexpected end of data")
        self._left -= len(part)
        view[: len(part)] = part
        return len(part)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
