"""Parts of a series in a temporary file: a few megabytes are kept in memory, more are on disk."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Callable
from typing import Any

from tapedeck_common.files.source_rows import FileSeries, Part, SourceRow, ValidBlock
from tapedeck_common.files.temporary_disk import no_space_as_error
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_common.files.valid_trades import ValidTrades

MEMORY_BYTES = 4 * 2**20
_SIZE_BYTES = 8  # of a part's size, before the part
_BLOCKS: dict[str, Callable[..., ValidBlock]] = {block.__name__: block for block in (ValidBars, ValidTrades)}


class PartStore:
    """Parts of a series, each written once and read by its place."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def write(self, part: Part) -> int:
        """Append a part; returns its place. Raises CannotSort where the disk is full."""
        data = packed(part)
        with no_space_as_error():
            place = self._file.tell()
            self._file.write(len(data).to_bytes(_SIZE_BYTES, "little"))
            self._file.write(data)
        return place

    def read(self, place: int) -> Part:
        """The part at a place, once all are written."""
        self._file.seek(place)
        size = int.from_bytes(self._file.read(_SIZE_BYTES), "little")
        return unpacked(self._file.read(size))


def packed(part: Part) -> bytes:
    """A part as bytes."""
    return marshal.dumps(_fields(part))


def unpacked(data: bytes) -> Part:
    """The part of such bytes."""
    return _part(marshal.loads(data))


def _fields(part: Part) -> Any:
    """A part in the types that marshal knows."""
    if not isinstance(part, ValidBlock):
        return [tuple(row) for row in part]
    columns = [(column.dtype.str, column.shape, column.tobytes()) for column in part.columns()]
    return type(part).__name__, tuple(part.series), part.name, columns


def _part(fields: Any) -> Part:
    import numpy as np

    if isinstance(fields, list):
        return list(map(SourceRow._make, fields))
    kind, series, name, columns = fields
    arrays = [np.frombuffer(data, dtype).reshape(shape) for dtype, shape, data in columns]
    return _BLOCKS[kind](FileSeries(*series), name, *arrays)
