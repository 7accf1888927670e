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

_OUTSIDE = "leads out of the folder of the files"
_IN_HOME = "is in the home of the deck, with its passwords, logs and tables"
_HOMES_DATA = ("uploads", "pods")  # folders of a deck's home with users' files: uploaded ones, and volumes of pods


class OutsideFolder(Exception):
    """A path leads out of the folder, into the deck's home, or to something else than a file."""


@dataclass(frozen=True)
class LocalFile:
    """A file below a folder, with the members of RemoteFile that readers use. ``root`` is free of links.

    ``home`` is the deck's, whose files are not read.
    """

    root: Path
    path: Path
    home: Path | None = None

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
            _require_allowed(_path_of(descriptor), self.root, self.home)
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")


def local_files(pattern: str, root: Path, deck_home: Path | None = None) -> Iterator[LocalFile]:
    """The files that a path or a glob pattern matches below a folder, sorted. A pattern passes over the deck's home.

    Raises OutsideFolder if one of them is not below the folder, or all are in the deck's home, and ValueError for a
    text that is no pattern.
    """
    root = root.resolve()
    home = _kept_home(root, deck_home)
    exact = root / pattern
    if exact.is_file():  # such as a name with brackets, which are no pattern then
        found = [exact]
    elif Path(pattern).is_absolute():
        raise OutsideFolder("is an absolute path")
    else:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
    data = [path for path in found if home is None or not path.resolve().is_relative_to(home)]
    for path in data or found:
        _require_allowed(path.resolve(), root, home)
        yield LocalFile(root, path, home)


def _kept_home(root: Path, deck_home: Path | None) -> Path | None:
    """The deck's home, free of links; None where ``root`` is one of its folders with users' files."""
    if deck_home is None:
        return None
    home = deck_home.resolve()
    return None if any(root.is_relative_to(home / name) for name in _HOMES_DATA) else home


def _require_allowed(path: Path, root: Path, home: Path | None) -> None:
    """Raises OutsideFolder for a path, free of links, that is not below ``root``, or in ``home``."""
    if not path.is_relative_to(root):
        raise OutsideFolder(_OUTSIDE)
    if home is not None and path.is_relative_to(home):
        raise OutsideFolder(_IN_HOME)


def _path_of(descriptor: int) -> Path:
    """The path of an open file, without links."""
    if sys.platform == "darwin":
        return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    return Path(f"/proc/self/fd/{descriptor}").readlink()
