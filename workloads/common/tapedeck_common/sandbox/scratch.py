"""The one folder that foreign code writes, and a watch of what it takes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tapedeck_common.sandbox.policy import MIB

ENTRIES_MAX = 10_000
THREADS_MAX = 512
_CHECK_SECONDS = 0.5


class ScratchFolder:
    """An empty folder, the owner's alone, that is deleted at ``close``."""

    def __init__(self) -> None:
        self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix="tapedeck-sandbox-")))

    def close(self) -> None:
        """Delete the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class ProcessWatch:
    """A thread that calls ``on_excess`` once, with a reason, when a process exceeds its folder, memory or threads.

    It runs in the parent, so that code that holds the child's interpreter is watched too. Counted are the folder's
    files, deleted files that the process keeps open, and the process's resident memory, which a limit of its data
    does not bound where memory is shared. The kernel has no limit of the threads of one process.
    """

    def __init__(
        self,
        pid: int,
        folder: Path,
        on_excess: Callable[[str], None],
        *,
        folder_bytes: int = 64 * MIB,
        memory_bytes: int | None = None,
    ) -> None:
        self._pid = pid
        self._folder = folder
        self._on_excess = on_excess
        self._folder_bytes = folder_bytes
        self._memory_bytes = memory_bytes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sandbox-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch, before the process is reaped."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_CHECK_SECONDS):
            if reason := self._excess():
                self._on_excess(reason)
                return

    def _excess(self) -> str:
        size, entries = folder_size(self._folder)
        size += _deleted_bytes(self._pid)
        if size > self._folder_bytes:
            return f"it wrote {size / MIB:.0f} MiB to its folder, at most {self._folder_bytes / MIB:.0f} are allowed"
        if entries > ENTRIES_MAX:
            return f"it made more than {ENTRIES_MAX} files in its folder"
        memory = _resident_bytes(self._pid)
        if self._memory_bytes is not None and memory > self._memory_bytes:
            return f"it used {memory / MIB:.0f} MiB of memory, at most {self._memory_bytes / MIB:.0f} are allowed"
        threads = _threads(self._pid)
        if threads > THREADS_MAX:
            return f"it ran {threads} threads, at most {THREADS_MAX} are allowed"
        return ""


def folder_size(folder: Path) -> tuple[int, int]:
    """Bytes on disk and number of entries, counted up to just beyond ENTRIES_MAX. Links are not followed."""
    size = entries = 0
    pending = [os.fspath(folder)]
    while pending and entries <= ENTRIES_MAX:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    entries += 1
                    status = entry.stat(follow_symlinks=False)
                    size += max(status.st_size, status.st_blocks * 512) if not _is_folder(status) else 0
                    if _is_folder(status):
                        pending.append(entry.path)
                    if entries > ENTRIES_MAX:
                        break
        except OSError:
            continue  # deleted meanwhile
    return size, entries


def _is_folder(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _deleted_bytes(pid: int) -> int:
    size = 0
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
    for descriptor in descriptors:
        try:
            status = descriptor.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and not status.st_nlink:
            size += status.st_size
    return size


def _threads(pid: int) -> int:
    """The number of a process's threads: each is a folder."""
    try:
        return Path(f"/proc/{pid}/task").stat().st_nlink - 2
    except OSError:
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
