"""Decompression of zstd in little memory: the library allocates a window of the size that each frame asks for.

https://datatracker.ietf.org/doc/html/rfc8878#section-3
"""

from __future__ import annotations

import io
import sys
from typing import Any, BinaryIO, cast

from tapedeck_common.files.errors import InvalidFiles

WINDOW_MAX = 64 * 2**20
"""Bytes of a window: zstd -19 asks for 8 MiB."""
BLOCKS_FREE = 10_000
BLOCK_BYTES = 1_024
"""Blocks that a file may have, and bytes that each beyond them expands to on average: libraries write 128 KB."""
_FRAME, _SKIPPABLE, _SKIPPABLE_MASK = 0xFD2FB528, 0x184D2A50, 0xFFFFFFF0
_HEADER_MAX = 18
_RUN = 1  # a type of block: one byte many times
_BLOCK_HEADER, _CHECKSUM_BYTES = 3, 4


class ZstdContent(io.RawIOBase):
    """What a file of zstd expands to. Reading raises InvalidFiles beyond the limits, and OSError."""

    def __init__(self, content: BinaryIO, name: str) -> None:
        import pyarrow as pa

        self._frames = _Frames(content, name)
        self._decoder: Any = pa.CompressedInputStream(pa.PythonFile(self._frames, "r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = cast(bytes, self._decoder.read(len(view))) if self._decoder is not None else b""
        if not part:
            self._decoder = None  # its memory is needed where a copy of what it gave is read
        self._frames.expanded += len(part)
        view[: len(part)] = part
        return len(part)


class _Frames(io.RawIOBase):
    """Compressed bytes, the headers in which are checked as they are read. ``expanded`` is what they expanded to."""

    def __init__(self, content: BinaryIO, name: str) -> None:
        self._content = content
        self._name = name
        self._rest = b""  # the beginning of a header
        self._skip = 0  # bytes before the next header
        self._is_in_frame = self._has_checksum = False
        self._blocks = 0
        self.expanded = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._blocks > BLOCKS_FREE + self.expanded // BLOCK_BYTES:  # what was read before is expanded now
            raise InvalidFiles(
                f"{self._name}: got {self._blocks} blocks of zstd for {self.expanded} bytes, expected at most "
                f"{BLOCKS_FREE}, or of {BLOCK_BYTES} bytes each; compress the file as a whole"
            )
        view = memoryview(buffer)
        part = self._content.read(len(view))
        self._check(part)
        view[: len(part)] = part
        return len(part)

    def _check(self, part: bytes) -> None:
        data, place = self._rest + part, 0
        while place < len(data):
            if self._skip:
                skipped = min(self._skip, len(data) - place)
                self._skip -= skipped
                place += skipped
                continue
            length = self._block(data, place) if self._is_in_frame else self._frame(data, place)
            if not length:
                break
            self._blocks += 1
            place += length
        self._rest = data[place:]

    def _block(self, data: bytes, place: int) -> int:
        """The length of the header of the block there; 0 where it is cut."""
        if len(data) < place + _BLOCK_HEADER:
            return 0
        header = int.from_bytes(data[place : place + _BLOCK_HEADER], "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        self._skip = (1 if kind == _RUN else size) + (_CHECKSUM_BYTES if is_last and self._has_checksum else 0)
        self._is_in_frame = not is_last
        return _BLOCK_HEADER

    def _frame(self, data: bytes, place: int) -> int:
        """The length of the header of the frame there; 0 where it is cut. Raises InvalidFiles for a large window."""
        header = data[place : place + _HEADER_MAX]
        magic = int.from_bytes(header[:4], "little")
        if magic & _SKIPPABLE_MASK == _SKIPPABLE and len(header) >= 8:
            self._skip = int.from_bytes(header[4:8], "little")
            return 8
        if len(header) < 5 or magic & _SKIPPABLE_MASK == _SKIPPABLE:
            return 0
        if magic != _FRAME:
            self._skip = sys.maxsize  # the library says what is wrong
            return 4
        flags = header[4]
        has_window = not flags & 0x20
        size_bytes = (0 if has_window else 1, 2, 4, 8)[flags >> 6]
        length = 5 + has_window + (0, 1, 2, 4)[flags & 3] + size_bytes
        if len(header) < length:
            return 0
        window = _window(header[5]) if has_window else int.from_bytes(header[length - size_bytes : length], "little")
        if window > WINDOW_MAX:
            raise InvalidFiles(
                f"{self._name}: got zstd with a window of {window} bytes, expected at most {WINDOW_MAX}; compress it "
                "with zstd -19 or less, and without --long"
            )
        self._is_in_frame, self._has_checksum = True, bool(flags & 4)
        return length


def _window(descriptor: int) -> int:
    base: int = 1 << 10 + (descriptor >> 3)
    return base + base // 8 * (descriptor & 7)
