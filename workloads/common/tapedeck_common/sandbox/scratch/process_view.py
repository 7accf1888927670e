"""What a parent sees of a process that foreign code runs in: its memory, threads, writes, and the files it keeps."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tapedeck_common.sandbox.scratch.folder import FileId, file_bytes, file_id

_SETTLE_SECONDS = 0.02  # longer than a library needs between the end of a descriptor and that of its mapping
_DELETED = " (deleted)"
SeenT = TypeVar("SeenT")


class ProcessView:
    """A process by /proc, and its folder by its path. Where the system has no /proc all is zero and empty."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._process = Path(f"/proc/{pid}")
        self._pid = str(pid)
        self._folder = f"{folder}/"
        self._is_readable = os.access(self._process / "fd", os.R_OK)

    def resident_bytes(self) -> int:
        thread = self._thread()
        return _pages(thread)[1] * os.sysconf("SC_PAGE_SIZE") if thread is not None else 0

    def threads(self) -> int:
        """The number of its threads: each is a folder."""
        try:
            return (self._process / "task").stat().st_nlink - 2
        except OSError:
            return 0

    def written_bytes(self) -> int | None:
        """What it has written so far to files, pipes and mappings, some of it counted twice; None if unknown."""
        try:
            lines = (self._process / "io").read_text().splitlines()
        except OSError:
            return None
        fields = dict(line.split(": ", 1) for line in lines)
        return sum(int(fields.get(name, 0)) for name in ("wchar", "write_bytes"))

    def open_files(self) -> dict[FileId, int]:
        """The bytes of the files that it has open and that are deleted or in its folder.

        Raises OSError if it has made itself unreadable.
        """
        return self._seen(self._open_files_of, {})

    def hidden_files(self) -> set[int]:
        """Deleted files of its folder that a mapping alone keeps, so that nobody can tell their size: inode numbers.

        A library ends the descriptor and the mapping of a file one after the other: that is none. Raises OSError.
        """
        hidden = self._mapped_alone()
        if hidden:
            time.sleep(_SETTLE_SECONDS)
            hidden &= self._mapped_alone()
        return hidden

    def _mapped_alone(self) -> set[int]:
        """Device numbers are not compared: some file systems tell another one of a mapping."""
        nothing: set[int] = set()
        mapped = self._seen(self._mapped_of, nothing)
        return mapped - {inode for _, inode in self.open_files()} if mapped else mapped

    def _open_files_of(self, thread: Path) -> dict[FileId, int]:
        sizes = {}
        for path in list((thread / "fd").iterdir()):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and (not status.st_nlink or self._is_own(path)):
                sizes[file_id(status)] = file_bytes(status)
        return sizes

    def _mapped_of(self, thread: Path) -> set[int]:
        lines = os.fsdecode((thread / "maps").read_bytes()).split("\n")
        return {_inode(line) for line in lines if line.endswith(_DELETED) and self._folder in line}

    def _seen(self, look: Callable[[Path], SeenT], nothing: SeenT) -> SeenT:
        """What a look at a living thread finds. A thread that ends meanwhile is unreadable, so it looks twice."""
        for is_last in (False, True):
            thread = self._thread()
            if thread is None:
                break
            try:
                return look(thread)
            except OSError:
                if not self._is_readable:  # some systems do not show a process to its parent
                    break
                if is_last:
                    raise
                time.sleep(_SETTLE_SECONDS)
        return nothing

    def _is_own(self, path: Path) -> bool:
        """Whether a descriptor leads into the folder; a path that is too long to be told does."""
        try:
            return str(path.readlink()).startswith(self._folder)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _thread(self) -> Path | None:
        """The folder of a thread that lives, which has memory: the first one can end before the others."""
        first = self._process / "task" / self._pid
        if any(_pages(first)):
            return first
        try:
            return next((thread for thread in (self._process / "task").iterdir() if any(_pages(thread))), None)
        except OSError:
            return None


def _pages(thread: Path) -> tuple[int, int]:
    """Pages of its address space, and resident ones; 0 when it has ended."""
    try:
        size, resident = (thread / "statm").read_text().split()[:2]
    except (OSError, ValueError):
        return 0, 0
    return int(size), int(resident)


def _inode(line: str) -> int:
    """The file of a line of proc_pid_maps(5)."""
    return int(line.split(maxsplit=5)[4])
