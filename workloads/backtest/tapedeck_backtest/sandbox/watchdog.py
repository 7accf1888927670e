"""Time limit: a strategy that works on one bar for longer than limits.barSeconds fails with its own traceback.

This catches honest mistakes and shows where they are. It is no security boundary: that is the pod, with no token, a
NetworkPolicy and a cgroup.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tapedeck_backtest.sandbox.protocol import SupervisorChannel

CHECK_SECONDS = 0.5
STOP_SECONDS = 5.0  # limit for a bar once the pod is asked to stop
GRACE_SECONDS = 5.0  # between raising BarTimeout in the strategy and ending the process
_SIGNAL = signal.SIGUSR1


class BarTimeout(BaseException):
    """Raised inside the strategy's code. No Exception, so that its ``except Exception`` does not catch it."""


class StrategyWatchdog:
    """Watches the strategy from a thread, within ``watching``: a heartbeat is expected every ``seconds``.

    Without one, BarTimeout is raised in the main thread. If the strategy still does not end, ``on_hang`` is called with
    a message from the watchdog's thread, and the process exits with the code it returns. Code that holds the
    interpreter's lock is ended by faulthandler with exit code 1.
    """

    def __init__(
        self,
        seconds: float,
        stop: threading.Event,
        on_hang: Callable[[str], int],
        channel: SupervisorChannel,
    ) -> None:
        self.seconds = seconds
        self._stop = stop
        self._on_hang = on_hang
        self._channel = channel
        self._last_heartbeat = time.monotonic()
        self._finished = threading.Event()

    def heartbeat(self) -> None:
        """The strategy has finished a bar."""
        self._last_heartbeat = time.monotonic()

    @contextmanager
    def watching(self, run_id: str) -> Iterator[None]:
        """Surrounds the strategy's code. Only in the main thread, the one in which Python handles signals."""
        self._finished = threading.Event()
        self.heartbeat()
        previous_handler = signal.signal(_SIGNAL, self._raise)
        thread = threading.Thread(target=self._watch, args=(self._finished,), name="watchdog", daemon=True)
        thread.start()
        self._channel.strategy_entered(run_id)
        try:
            yield
        finally:
            self._channel.strategy_left()
            self._finished.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()
            signal.signal(_SIGNAL, previous_handler)

    def _watch(self, finished: threading.Event) -> None:
        interrupted_at: float | None = None
        while not finished.wait(CHECK_SECONDS):
            self._rearm_faulthandler()
            allowed = min(self.seconds, STOP_SECONDS) if self._stop.is_set() else self.seconds
            now = time.monotonic()
            if now - self._last_heartbeat < allowed:
                interrupted_at = None
            elif interrupted_at is None:
                interrupted_at = now
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            elif now - interrupted_at > GRACE_SECONDS:
                code = self._on_hang(
                    f"the strategy did not finish a bar within {allowed:g} s, and did not end when interrupted"
                )
                self._channel.strategy_left()
                os._exit(code)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        raise BarTimeout(f"no bar within {self.seconds:g} s")

    def _rearm_faulthandler(self) -> None:
        """End the process unless this is called again in time: for code that lets no other thread run."""
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self.seconds + 2 * GRACE_SECONDS, exit=True, file=sys.__stderr__)
