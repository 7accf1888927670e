"""A limit on calls that do not keep their own."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator

POLL_SECONDS = 1.0


class Watchdog:
    """Calls ``hung``, from a thread of its own, when what a thread runs within ``limit`` takes too long.

    librdkafka can stay in send_offsets_to_transaction for good, whatever timeout it was given, when the
    group's coordinator was away (its issue 5511). Only a new process gets out of that.
    """

    def __init__(self, hung: Callable[[], None]) -> None:
        self._hung = hung
        self._deadlines: dict[int, float] = {}  # by thread
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Watch what runs inside; not to be nested."""
        thread = threading.get_ident()
        self._deadlines[thread] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._deadlines[thread]

    def _watch(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            if time.monotonic() > min(list(self._deadlines.values()), default=math.inf):
                self._hung()
                return
