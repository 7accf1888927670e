"""Files that are uploaded to a deck: where they are kept, how they arrive in parts, and when they are removed.

An upload is a folder of files below the one of its namespace. A file is whole once it has its name: until then its
parts are in a hidden file beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from tapedeck_crds.errors import Conflict, InvalidInput, NoSpace, NotFound, TooLarge
from tapedeck_crds.resource import NAMESPACE_PATTERN
from tapedeck_deck.embedded.disk_space import START_BYTES
from tapedeck_deck.embedded.private_files import open_private, private_folder

FILE_BYTES_MAX = 2**30
FILES_MAX = 100  # of an upload
NAME_BYTES_MAX = 200
UPLOAD_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
PART_SECONDS = 600.0
"""So long after its last part a file that is not whole is removed."""
KEPT_SECONDS = 3_600.0
"""So long after its last change an upload that no Feed names is removed."""
_FOLDER = "the folder of uploads"


class FilePart(NamedTuple):
    """Bytes of a file from ``offset`` on. ``size`` is that of the whole file."""

    name: str
    size: int
    offset: int
    content: bytes


class Received(NamedTuple):
    """A file under the name that it has on the deck, and how many of its bytes are there."""

    name: str
    size: int
    received: int


class Uploads:
    """The uploads below ``folder``, for their owner alone. Safe for several threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}  # of the whole files whose parts arrive, by the path of the parts

    def folder_of(self, namespace: str, upload: str) -> Path:
        """The folder of an upload, whether or not it exists. Raises InvalidInput."""
        for field, pattern, value in (("namespace", NAMESPACE_PATTERN, namespace), ("upload", UPLOAD_PATTERN, upload)):
            if len(value) > 64 or re.fullmatch(pattern, value) is None:
                raise InvalidInput(f"{field}: got {value[:60]!r}, expected up to 64 of a-z, 0-9 and -")
        return self._folder / namespace / upload

    def add(self, folder: Path, part: FilePart) -> Received:
        """Take the next part of a file; one at the offset 0 begins the file again.

        Raises InvalidInput, Conflict for a part that is not the next one, TooLarge, and NoSpace.
        """
        name = file_name(part.name)
        _check_part(part)
        with self._lock:
            for each in (self._folder, folder.parent, folder):
                private_folder(each, _FOLDER)
            partial = folder / f".{name}.part"
            if part.offset == 0:
                self._begin(folder, name, partial)
            _require_next(partial, part)
            self._require_space(folder, partial, part)
            self._sizes[partial] = part.size
            received = _appended(partial, part)
            if received == part.size:
                partial.replace(folder / name)
                del self._sizes[partial]
        return Received(name, part.size, received)

    def use(self, folder: Path) -> list[str]:
        """The names of the whole files of an upload, which then counts as just changed. Raises NotFound."""
        with self._lock:
            names = sorted(each.name for each in _files(folder) if not each.name.startswith("."))
            if not names:
                raise NotFound(f"upload: got {folder.name!r}, expected one with a file that is whole")
            os.utime(folder)
        return names

    def delete(self, folder: Path) -> None:
        """Remove an upload, if it exists."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def sweep(self, named: Container[str], now: float | None = None) -> list[Path]:
        """Remove uploads whose folder is not among ``named`` and files that are not whole, once they are old enough.

        ``now`` is in seconds since 1970. Returns what was removed.
        """
        moment = time.time() if now is None else now
        removed: list[Path] = []
        with self._lock:
            for folder in sorted(self._folder.glob("*/*")):
                files = _files(folder)
                if str(folder) in named:
                    continue
                if moment - max(each.stat().st_mtime for each in (folder, *files)) > KEPT_SECONDS:
                    shutil.rmtree(folder)
                    removed.append(folder)
                    continue
                for each in files:
                    if each.name.startswith(".") and moment - each.stat().st_mtime > PART_SECONDS:
                        each.unlink()
                        removed.append(each)
        return removed

    def _begin(self, folder: Path, name: str, partial: Path) -> None:
        others = {each.name for each in _files(folder)} - {name, partial.name}
        if len(others) >= FILES_MAX:
            raise InvalidInput(f"name: got {len(others) + 1} files, expected at most {FILES_MAX} in an upload")
        partial.unlink(missing_ok=True)

    def _require_space(self, folder: Path, partial: Path, part: FilePart) -> None:
        """Raise NoSpace where the rest of a file has no room beside that of others, whose parts still arrive."""
        rest = part.size - part.offset
        free = shutil.disk_usage(folder).free - START_BYTES - self._outstanding(partial)
        if rest > free:
            go_on = f", then go on at {part.offset}: what has arrived is kept" if part.offset else ""
            raise NoSpace(
                f"size: got {part.size} bytes, of which {rest} are to come, expected at most {max(free, 0)}: the "
                f"deck's disk keeps {START_BYTES // 2**20} MiB free, and room for the uploads that others have begun; "
                f"free some{go_on}"
            )

    def _outstanding(self, partial: Path) -> int:
        """The bytes that are still to come of all files but one."""
        self._sizes = {path: size for path, size in self._sizes.items() if path.exists()}  # the others were removed
        return sum(size - path.stat().st_size for path, size in self._sizes.items() if path != partial)


def file_name(given: str) -> str:
    """The name under which a deck keeps a file: without folders, and without signs that patterns of files use.

    Raises InvalidInput.
    """
    last = re.split(r"[/\\]", given)[-1].strip().lstrip(".")
    name = "".join(each if each.isalnum() or each in " .,_-+=@()^" else "_" for each in last)
    if not name:
        raise InvalidInput(f"name: got {given[:60]!r}, expected the name of a file, such as prices.csv")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise InvalidInput(f"name: got {name[:60]!r} and more, expected at most {NAME_BYTES_MAX} bytes")
    return name


def _check_part(part: FilePart) -> None:
    if part.size > FILE_BYTES_MAX:
        raise TooLarge(
            f"size: got {part.size} bytes, expected at most {FILE_BYTES_MAX}; import larger files by `tapedeck import`"
        )
    if not part.content:
        raise InvalidInput("body: got no bytes, expected those of a file")
    if not 0 <= part.offset <= part.size - len(part.content):
        raise InvalidInput(
            f"offset: got {part.offset} with {len(part.content)} bytes, expected a part of a file of {part.size} bytes"
        )


def _held(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _require_next(partial: Path, part: FilePart) -> None:
    """Raise Conflict for a part that does not begin where those before it end."""
    if (held := _held(partial)) != part.offset:
        raise Conflict(f"offset: got {part.offset}, expected {held}: so many bytes of the file are there")


def _appended(partial: Path, part: FilePart) -> int:
    """Write a part at the end of a file, and return its new size. Where the disk is full, the file stays as it was."""
    try:
        with open_private(partial, "ab") as file:
            file.write(part.content)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with contextlib.suppress(FileNotFoundError):
            os.truncate(partial, part.offset)
        raise NoSpace(
            f"the deck's disk is full: free some, then go on at {part.offset}: what has arrived is kept for "
            f"{PART_SECONDS / 60:.0f} minutes"
        ) from None
    return part.offset + len(part.content)


def _files(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
