"""Decompression in little memory: of a compressed file, nothing is held but what its decoder needs."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_crds.text import excerpt

XZ_MEMORY_MAX = 72 * 2**20
"""Bytes that the decoder of xz may take: files of xz -9 need 65 MiB."""
STREAMS_FREE = 10_000
STREAM_BYTES = 1_024
"""Streams that a file may have, one after the other, and bytes of each beyond them on average: bgzip's have 64 KB."""
_INPUT_BYTES = 16_384
_GZIP = 31  # zlib's notation for a window of 32 KiB and gzip's header


_DECODER_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError)


class _GzipDecoder:
    """Decodes a stream of gzip. The name and the comment in its header, of any length, are skipped, not held."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(data or self._zlib.unconsumed_tail, max_length)


class Decompressed(io.RawIOBase):
    """What the streams of a compressed file expand to. Reading raises InvalidFiles where they are not as expected.

    ``padding`` are bytes that may follow a stream.
    """

    def __init__(self, content: BinaryIO, name: str, new_decoder: Callable[[], Any], padding: bytes = b"") -> None:
        self._content = content
        self._name = name
        self._new_decoder = new_decoder
        self._padding = padding
        self._decoder: Any = new_decoder()
        self._streams, self._expanded = 1, 0
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = b""
        while not part and not self._has_ended:
            part = self._next_stream(len(view)) if self._decoder.eof else self._more(len(view))
        view[: len(part)] = part
        self._expanded += len(part)
        return len(part)

    def _more(self, count: int) -> bytes:
        data = self._content.read(_INPUT_BYTES) if (needs_input := self._decoder.needs_input) else b""
        part = self._decoded(data, count)
        if needs_input and not data and not part and not self._decoder.eof:
            raise InvalidFiles(f"{self._name}: cannot be read: it ends within compressed data, expected a whole file")
        return part

    def _next_stream(self, count: int) -> bytes:
        data = self._decoder.unused_data.lstrip(self._padding)
        while not data and (read := self._content.read(_INPUT_BYTES)):
            data = read.lstrip(self._padding)
        if not data:
            self._decoder, self._has_ended = None, True  # its memory is needed where a copy of what it gave is read
            return b""
        self._streams += 1
        if self._streams > STREAMS_FREE + self._expanded // STREAM_BYTES:
            raise InvalidFiles(
                f"{self._name}: got {self._streams} compressed streams for {self._expanded} bytes, expected at most "
                f"{STREAMS_FREE}, or of {STREAM_BYTES} bytes each; compress the file as a whole"
            )
        self._decoder = self._new_decoder()
        return self._decoded(data, count)

    def _decoded(self, data: bytes, count: int) -> bytes:
        try:
            return bytes(self._decoder.decompress(data, count))
        except _DECODER_ERRORS as error:
            if isinstance(error, MemoryError) or "limit exceeded" in str(error):
                raise InvalidFiles(
                    f"{self._name}: needs more than {XZ_MEMORY_MAX} bytes of memory to be decompressed, expected at "
                    "most so many; compress it with xz -9 or less"
                ) from None
            raise InvalidFiles(f"{self._name}: cannot be read: {excerpt(str(error))}") from None


def gzip_content(content: BinaryIO, name: str) -> Decompressed:
    """What a file of gzip expands to."""
    return Decompressed(content, name, _GzipDecoder, padding=b"\0")


def bzip2_content(content: BinaryIO, name: str) -> Decompressed:
    """What a file of bzip2 expands to."""
    return Decompressed(content, name, bz2.BZ2Decompressor)


def xz_content(content: BinaryIO, name: str) -> Decompressed:
    """What a file of xz expands to."""
    return Decompressed(
        content, name, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_MAX), padding=b"\0"
    )
