"""The one folder that foreign code writes, and a watch of what it takes."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tapedeck_common.sandbox.policy import MIB
from tapedeck_common.sandbox.scratch.folder import DEPTH_MAX, ENTRIES_MAX, FolderFiles, TooDeep, delete_folder
from tapedeck_common.sandbox.scratch.process_view import ProcessView

THREADS_MAX = 512
_GLANCE_SECONDS = 0.1
_LOOK_SECONDS = 0.5
_SHARE_WRITTEN = 4  # a quarter of the folder's limit, when written, is a reason to look at once


class ScratchFolder:
    """An empty folder, the owner's alone, that is deleted at ``close``."""

    def __init__(self) -> None:
        self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix="tapedeck-sandbox-")))

    def close(self) -> None:
        """Delete the folder and all in it."""
        delete_folder(self.path)


class ProcessWatch:
    """A thread that calls ``on_excess`` once, with a reason, when a process exceeds its folder, memory or threads.

    It runs in the parent, so that code that holds the child's interpreter is watched too. Counted are the folder's
    files, deleted files that the process keeps, and the process's resident memory, which a limit of its data does not
    bound where memory is shared. The kernel has no limit of the threads of one process. It glances at numbers of the
    kernel, and looks at files twice a second and whenever much has been written.
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
        self._process = ProcessView(pid, folder)
        self._folder = folder
        self._on_excess = on_excess
        self._folder_bytes = folder_bytes
        self._memory_bytes = memory_bytes
        self._looked_at = time.monotonic()
        self._written = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sandbox-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch, before the process is reaped."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_GLANCE_SECONDS):
            if reason := self._excess() or (self._excess_of_files() if self._is_due() else ""):
                self._on_excess(reason)
                return

    def _is_due(self) -> bool:
        now, written = time.monotonic(), self._process.written_bytes() or 0
        if now - self._looked_at < _LOOK_SECONDS and written - self._written < self._folder_bytes // _SHARE_WRITTEN:
            return False
        self._looked_at, self._written = now, written
        return True

    def _excess(self) -> str:
        memory = self._process.resident_bytes()
        if self._memory_bytes is not None and memory > self._memory_bytes:
            return f"it used {memory / MIB:.0f} MiB of memory, at most {self._memory_bytes / MIB:.0f} are allowed"
        threads = self._process.threads()
        if threads > THREADS_MAX:
            return f"it ran {threads} threads, at most {THREADS_MAX} are allowed"
        return ""

    def _excess_of_files(self) -> str:
        try:
            found = FolderFiles(self._folder)
            size = sum((found.sizes | self._process.open_files()).values())
            hidden = self._process.hidden_files()
        except TooDeep:
            return f"it nested folders deeper than {DEPTH_MAX}"
        except OSError as error:
            return f"its folder could not be measured: {error.strerror or error}"
        if size > self._folder_bytes:
            return f"it wrote {size / MIB:.0f} MiB to its folder, at most {self._folder_bytes / MIB:.0f} are allowed"
        if found.entries > ENTRIES_MAX:
            return f"it made more than {ENTRIES_MAX} files in its folder"
        if hidden:
            return "it keeps a deleted file of its folder by a mapping alone, and that has no size to count"
        return ""
