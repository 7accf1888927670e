"""Streams that can be read from any place."""

from __future__ import annotations

import io
import tempfile
from typing import BinaryIO, cast

from tapedeck_common.files.errors import InvalidFiles

UNPACKED_MAX = 4 * 2**30
"""Bytes of a file within an archive that is copied to disk to be read."""
_COPY_BYTES = 1 << 20


def seekable(name: str, stream: BinaryIO) -> BinaryIO:
    """The stream, or a copy on disk where it can only be read from its start. The copy disappears with the stream.

    Raises InvalidFiles for one of more than UNPACKED_MAX bytes.
    """
    if isinstance(stream, io.BufferedReader) and stream.raw.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the table
    while part := stream.read(_COPY_BYTES):
        copy.write(part)
        if copy.tell() > UNPACKED_MAX:
            raise InvalidFiles(f"{name}: got more than {UNPACKED_MAX} bytes, expected at most so many")
    copy.seek(0)
    return cast(BinaryIO, copy)
