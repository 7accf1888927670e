"""Files below a folder. A path or a link that leads out of the folder is refused, also if it is changed meanwhile."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


class OutsideFolder(Exception):
    """A path leads out of the folder, or to something else than a file."""


@dataclass(frozen=True)
class LocalFile:
    """A file below a folder, with the members of RemoteFile that readers use. ``root`` is free of links."""

    root: Path
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def suffix(self) -> str:
        return self.path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.parts

    def open(self) -> BinaryIO:
        """The file for reading. What has been opened is checked, so that no link can be exchanged between check and
        use. Raises OSError and OutsideFolder.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not block
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OutsideFolder("is no regular file")
            if not _path_of(descriptor).is_relative_to(self.root):
                raise OutsideFolder("leads out of the folder of the files")
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")


def local_files(pattern: str, root: Path) -> Iterator[LocalFile]:
    """The files that a path or a glob pattern matches below a folder, sorted.

    Raises OutsideFolder if one of them is not below it, and ValueError for a text that is no pattern.
    """
    root = root.resolve()
    exact = root / pattern
    if exact.is_file():  # such as a name with brackets, which are no pattern then
        found = [exact]
    elif Path(pattern).is_absolute():
        raise OutsideFolder("is an absolute path")
    else:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
    for path in found:
        if not path.resolve().is_relative_to(root):
            raise OutsideFolder("leads out of the folder of the files")
        yield LocalFile(root, path)


def _path_of(descriptor: int) -> Path:
    """The path of an open file, without links."""
    if sys.platform == "darwin":
        return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    return Path(f"/proc/self/fd/{descriptor}").readlink()
