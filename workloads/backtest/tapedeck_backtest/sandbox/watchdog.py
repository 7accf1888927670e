"""Limits for strategies: they are foreign code, and must end with their own traceback whatever they do.

No sandbox: that is the pod's (no token, NetworkPolicy, cgroup). This is for honest mistakes, and to say where they are.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tapedeck_common.logs import log

TICK_SECONDS = 0.5
STOP_SECONDS = 5.0  # for a strategy that does not come back after SIGTERM
GRACE_SECONDS = 5.0  # between telling a strategy to end and ending the process
SHARE_OF_FREE = 0.9
_SIGNAL = signal.SIGUSR1
_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


class TooLong(BaseException):
    """Raised in the midst of a strategy; no Exception, so that ``except Exception`` does not take it."""


class Guard:
    """Watches the strategy from a thread, while in ``watching``, for ``seconds`` without a call of ``progress``.

    It raises TooLong in the main thread. Where that does not end it, ``last_words`` is called from the guard's
    thread and the process ends with what it returns; code that holds the interpreter's lock is ended with exit code 1.
    ``mark`` is told when the strategy's code runs.
    """

    def __init__(
        self,
        seconds: float,
        stop: threading.Event,
        last_words: Callable[[str], int],
        mark: Callable[[bool], None],
    ) -> None:
        self.seconds = seconds
        self._stop = stop
        self._last_words = last_words
        self._mark = mark
        self._since = time.monotonic()
        self._over = threading.Event()

    def progress(self) -> None:
        """The strategy is through with a bar."""
        self._since = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Strategy code runs inside. Only in the main thread: signals are handled there alone."""
        self._over = threading.Event()
        self.progress()
        before = signal.signal(_SIGNAL, self._raise)
        thread = threading.Thread(target=self._watch, args=(self._over,), name="guard", daemon=True)
        thread.start()
        self._mark(True)
        try:
            yield
        finally:
            self._mark(False)
            self._over.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()
            signal.signal(_SIGNAL, before)

    def _watch(self, over: threading.Event) -> None:
        told: float | None = None
        while not over.wait(TICK_SECONDS):
            self._end_by_itself()
            allowed = min(self.seconds, STOP_SECONDS) if self._stop.is_set() else self.seconds
            now = time.monotonic()
            if now - self._since < allowed:
                told = None
            elif told is None:
                told = now
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            elif now - told > GRACE_SECONDS:
                code = self._last_words(f"no bar within {allowed:g} s, and it did not end when told to")
                self._mark(False)
                os._exit(code)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        raise TooLong(f"no bar within {self.seconds:g} s")

    def _end_by_itself(self) -> None:
        """Unless this is called again in time: for code that lets no other thread run."""
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self.seconds + 2 * GRACE_SECONDS, exit=True, file=sys.__stderr__)


def limit_memory(wanted: str | None) -> None:
    """Let allocations beyond ``wanted`` (a Kubernetes quantity), or beyond what is free, raise MemoryError."""
    free = _free_bytes()
    bytes_ = min(filter(None, (quantity(wanted) if wanted else 0, int(free * SHARE_OF_FREE))), default=0)
    if bytes_:
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        log.info("memory limited", bytes=bytes_)


def lift_memory_limit() -> None:
    """Room for saying what happened."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def quantity(text: str) -> int:
    """A Kubernetes quantity, such as 512Mi or 2G, → bytes."""
    digits = text.rstrip("mkMGTPEi")
    return int(float(digits) * _UNITS[text[len(digits) :]])


def _free_bytes() -> int:
    """Memory that the kernel could give away now; 0 where it does not say."""
    try:
        with Path("/proc/meminfo").open() as lines:
            fields = dict(line.split(":", 1) for line in lines)
    except OSError:
        return 0
    return int(fields.get("MemAvailable", "0 kB").split()[0]) * 1024
