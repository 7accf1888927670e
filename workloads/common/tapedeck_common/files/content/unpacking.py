"""What files hold: compression and archives are told by their first bytes, whatever the file's name says."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from tapedeck_common.files.content.bounds import BUFFER_BYTES, ExpansionLimit, ZipContent
from tapedeck_common.files.content.seekable import seekable
from tapedeck_common.files.errors import InvalidFiles

HEAD_BYTES = 512
DEPTH_MAX = 3
"""Archives and compressed files within each other."""
MEMBERS_MAX = 10_000
_SPREADSHEET = "[Content_Types].xml"
_TAR_AT = 257


class FileContent(NamedTuple):
    """A file's bytes without compression; ``name`` is the file's, with its place in archives."""

    name: str
    stream: BinaryIO

    @property
    def stem(self) -> str:
        """The name of the innermost file, without folders."""
        return PurePosixPath(self.name.rpartition("!")[2]).name


def unpack(name: str, raw: BinaryIO, size: int) -> Iterator[FileContent]:
    """The files in a file of ``size`` bytes, each to be read before the next.

    Raises InvalidFiles and the errors of the libraries (READ_ERRORS).
    """
    with ExitStack() as stack:
        yield from _unpack(name, _buffered(raw), size, DEPTH_MAX, stack)


def _unpack(name: str, stream: io.BufferedReader, size: int, depth: int, stack: ExitStack) -> Iterator[FileContent]:
    head = stream.peek(HEAD_BYTES)
    if depth == 0 and (_is_zip(head) or _is_tar(head) or _opener(head)):
        raise InvalidFiles(f"{name}: got more than {DEPTH_MAX} archives within each other, expected at most so many")
    if _is_zip(head):
        yield from _zip_members(name, stream, size, depth)
    elif _is_tar(head):
        yield from _tar_members(name, stream, size, depth)
    elif opener := _opener(head):
        content = stack.enter_context(opener(stream))
        yield from _unpack(name, _buffered(ExpansionLimit(content, size, name)), size, depth - 1, stack)
    else:
        yield FileContent(name, stream)


def _zip_members(name: str, stream: BinaryIO, size: int, depth: int) -> Iterator[FileContent]:
    whole = seekable(name, stream)
    with zipfile.ZipFile(cast(BinaryIO, ZipContent(whole, name))) as archive:
        if _SPREADSHEET in archive.namelist():
            whole.seek(0)
            yield FileContent(name, whole)  # as one file, whose first bytes tell that it is no table
            return
        members = [each for each in archive.infolist() if not each.is_dir() and _is_data(each.filename)]
        _check_members(name, len(members))
        for member in sorted(members, key=lambda each: each.filename):
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InvalidFiles(f"{name}: is compressed by another method than deflate; write it with deflate")
            with archive.open(member) as opened, ExitStack() as stack:
                content = _buffered(ExpansionLimit(cast(BinaryIO, opened), size, name))
                yield from _unpack(f"{name}!{member.filename}", content, size, depth - 1, stack)


def _tar_members(name: str, stream: BinaryIO, size: int, depth: int) -> Iterator[FileContent]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        count = 0
        for member in archive:
            if not member.isfile() or not _is_data(member.name):
                continue
            count += 1
            _check_members(name, count)
            opened = archive.extractfile(member)
            assert opened is not None  # of a regular file
            with opened, ExitStack() as stack:
                content = _buffered(cast(BinaryIO, opened))
                yield from _unpack(f"{name}!{member.name}", content, size, depth - 1, stack)
        _check_members(name, count)


def _check_members(name: str, count: int) -> None:
    if not 0 < count <= MEMBERS_MAX:
        raise InvalidFiles(f"{name}: holds {count} files, expected 1 to {MEMBERS_MAX}")


def _is_data(member: str) -> bool:
    """Whether a member is a file of the user's: not one that a Mac, an editor or a version control adds."""
    parts = PurePosixPath(member).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts)


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"))


def _is_tar(head: bytes) -> bool:
    return head[_TAR_AT : _TAR_AT + 5] == b"ustar"


def _opener(head: bytes) -> Callable[[BinaryIO], Any] | None:
    """What decompresses a stream that begins with these bytes."""
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)


def _zstd(stream: BinaryIO) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstd,
}


def _buffered(stream: Any) -> io.BufferedReader:
    return io.BufferedReader(stream, BUFFER_BYTES)
