"""Which watches have fallen silent: the API server ends each after a while, so one that does not end has lost it.

Bookmarks would not tell: the server sends none where nothing has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tapedeck_operator.cluster.metrics import SILENT_WATCHES

log = structlog.get_logger()
# In times that a watch lasts: with 20 s it is late after 25 s, cut after 30 s, and its kind silent after 55 s.
LATE, CUT, PATIENCE = 1.25, 1.5, 2.75


class Silence:
    """The watches of all kinds, each of which is to end after ``lasts`` seconds. ``clock`` gives seconds.

    One that is cut goes on where it was, so nothing is missed; a kind is silent where the next one is no better.
    """

    def __init__(self, lasts: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lasts = lasts
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._opened: dict[str, float] = {}
        self._lived: dict[str, float] = {}

    def asked(self, kind: str) -> None:
        """A list or watch of a kind is asked for: the watch before it has ended, or was cut, or never began."""
        now = self._asked[kind] = self._clock()
        lasted = now - self._opened.pop(kind, now)
        if lasted < LATE * self.lasts:
            self._lived[kind] = now
        else:
            SILENT_WATCHES.labels(kind).inc()
            log.warning("a watch did not end in time and is begun anew", kind=kind, seconds=round(lasted, 1))

    def opened(self, kind: str) -> None:
        """A watch that was asked for begins; server and client count from when it was asked for."""
        self._opened[kind] = self._asked[kind]

    def heard(self, kind: str) -> None:
        """A watch brought something."""
        self._lived[kind] = self._clock()

    def kinds(self) -> list[str]:
        """Those whose watches have for too long neither brought anything nor ended in time."""
        now = self._clock()
        return [kind for kind, at in self._lived.items() if now - at >= PATIENCE * self.lasts]
