"""A limit on calls that do not keep their own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

POLL_SECONDS = 1.0


class Watchdog:
    """Calls ``hung``, from a thread of its own, when what runs within ``limit`` takes too long.

    librdkafka can stay in send_offsets_to_transaction for good, whatever timeout it was given, when the
    group's coordinator was away (its issue 5511). Only a new process gets out of that.
    """

    def __init__(self, hung: Callable[[], None]) -> None:
        self._hung = hung
        self._deadline: float | None = None
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Watch what runs inside; not to be nested."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def _watch(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._hung()
                return
