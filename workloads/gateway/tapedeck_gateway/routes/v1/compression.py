"""Compression of answers, by what the client accepts: zstd before gzip."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import pyarrow as pa

Coding: TypeAlias = Literal["zstd", "gzip"]
SMALL = 1_024  # bytes: less is not worth it
GZIP_LEVEL = 5
_GZIP_BITS = 31  # a header and a trailer of gzip


def accepted_coding(header: str) -> Coding | None:
    """The coding to answer with, of the header Accept-Encoding."""
    weights: dict[str, bool] = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    codings: tuple[Coding, ...] = ("zstd", "gzip")
    return next((coding for coding in codings if weights.get(coding)), None)


def compress(coding: Coding, body: bytes) -> bytes:
    """The whole body."""
    return b"".join(compressed(coding, [body]))


def compressed(coding: Coding, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The body, chunk by chunk."""
    return _zstd(chunks) if coding == "zstd" else _gzip(chunks)


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    sink = ByteQueue()
    with pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd") as packer:
        for chunk in chunks:
            packer.write(chunk)
            if packed := sink.take():
                yield packed
    yield sink.take()


class ByteQueue(io.RawIOBase):
    """A file whose content is taken from its beginning while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """What was written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken
