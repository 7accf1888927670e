"""What files hold: compression and archives are told by their first bytes, whatever the file's name says."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from tapedeck_common.files.content.bounds import BUFFER_BYTES, Expanded, ExpansionLimit, ZipContent
from tapedeck_common.files.content.decompression import bzip2_content, gzip_content, xz_content
from tapedeck_common.files.content.seekable import seekable
from tapedeck_common.files.content.tar import TarReader
from tapedeck_common.files.content.zstd import ZstdContent
from tapedeck_common.files.errors import InvalidFiles

HEAD_BYTES = 512
DEPTH_MAX = 3
"""Archives and compressed files within each other."""
MEMBERS_MAX = 10_000
MEMBER_NAME_MAX = 1_024
"""Characters of the name of a file within an archive, with its folders: as many as names in an object store have."""
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
        yield from _Unpacking(size).contents(name, _buffered(raw), DEPTH_MAX, stack)


class _Unpacking:
    """Unpacks one file, whose parts expand to no more than a limit together."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._expanded = Expanded()

    def contents(self, name: str, stream: io.BufferedReader, depth: int, stack: ExitStack) -> Iterator[FileContent]:
        """The files in a stream, below at most so many archives."""
        head = stream.peek(HEAD_BYTES)
        if depth == 0 and (_is_zip(head) or _is_tar(head) or _opener(head)):
            raise InvalidFiles(
                f"{name}: got more than {DEPTH_MAX} archives within each other, expected at most so many"
            )
        if _is_zip(head):
            yield from self._zip_members(name, stream, depth)
        elif _is_tar(head):
            yield from self._tar_members(name, stream, depth)
        elif opener := _opener(head):
            content = stack.enter_context(opener(stream, name))
            yield from self.contents(name, self._limited(content, name), depth - 1, stack)
        else:
            yield FileContent(name, stream)

    def _zip_members(self, name: str, stream: BinaryIO, depth: int) -> Iterator[FileContent]:
        whole = seekable(name, stream)
        with zipfile.ZipFile(cast(BinaryIO, ZipContent(whole, name))) as archive:
            if _SPREADSHEET in archive.namelist():
                whole.seek(0)
                yield FileContent(name, whole)  # as one file, whose first bytes tell that it is no table
                return
            members = [each for each in archive.infolist() if not each.is_dir() and _is_data(name, each.filename)]
            _check_members(name, len(members))
            for member in sorted(members, key=lambda each: each.filename):
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise InvalidFiles(f"{name}: is compressed by another method than deflate; write it with deflate")
                with archive.open(member) as opened, ExitStack() as stack:
                    content = self._limited(opened, name)
                    yield from self.contents(f"{name}!{member.filename}", content, depth - 1, stack)

    def _tar_members(self, name: str, stream: BinaryIO, depth: int) -> Iterator[FileContent]:
        count = 0
        for member in TarReader(name, stream).members():
            if not _is_data(name, member.name):
                continue
            count += 1
            _check_members(name, count)
            with ExitStack() as stack:
                yield from self.contents(f"{name}!{member.name}", _buffered(member.stream), depth - 1, stack)
        _check_members(name, count)

    def _limited(self, content: Any, name: str) -> io.BufferedReader:
        return _buffered(ExpansionLimit(content, self._size, name, self._expanded))


def _check_members(name: str, count: int) -> None:
    if not 0 < count <= MEMBERS_MAX:
        raise InvalidFiles(f"{name}: holds {count} files, expected 1 to {MEMBERS_MAX}")


def _is_data(name: str, member: str) -> bool:
    """Whether a member is a file of the user's: not one that a Mac, an editor or a version control adds.

    Raises InvalidFiles for a name that is too long.
    """
    if len(member) > MEMBER_NAME_MAX:
        raise InvalidFiles(
            f"{name}: got a file with a name of {len(member)} characters, expected at most {MEMBER_NAME_MAX}"
        )
    parts = PurePosixPath(member).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts)


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"))


def _is_tar(head: bytes) -> bool:
    return head[_TAR_AT : _TAR_AT + 5] == b"ustar"


def _opener(head: bytes) -> _Opener | None:
    """What decompresses a stream that begins with these bytes."""
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)


_Opener: TypeAlias = Callable[[BinaryIO, str], Any]
_OPENERS: dict[bytes, _Opener] = {
    b"\x1f\x8b": gzip_content,
    b"BZh": bzip2_content,
    b"\xfd7zXZ\x00": xz_content,
    b"\x28\xb5\x2f\xfd": ZstdContent,
}


def _buffered(stream: Any) -> io.BufferedReader:
    return io.BufferedReader(stream, BUFFER_BYTES)
