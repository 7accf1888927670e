"""Detects silent watches: the API server ends each one after a while, so one that does not end has lost the server.

Bookmarks would not show it: the server sends none while nothing changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tapedeck_operator.cluster.metrics import SILENT_WATCHES

log = structlog.get_logger()
# In multiples of a watch's duration: with 20 s a watch is late after 25 s, cut after 30 s, its kind silent after 55 s.
LATE, CUT, SILENT = 1.25, 1.5, 2.75


class WatchLiveness:
    """The watches of all kinds; the server ends each after ``duration`` seconds. ``clock`` gives seconds.

    The successor of a watch that was cut resumes from its resourceVersion, so no event is lost; the kind is silent
    where the successor is no better.
    """

    def __init__(self, duration: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.duration = duration
        self._clock = clock
        self._requested_at: dict[str, float] = {}
        self._opened_at: dict[str, float] = {}
        self._alive_at: dict[str, float] = {}

    def requested(self, kind: str) -> None:
        """A list or watch of a kind is requested: its previous watch has ended, was cut, or never began."""
        now = self._requested_at[kind] = self._clock()
        lasted = now - self._opened_at.pop(kind, now)
        if lasted < LATE * self.duration:
            self._alive_at[kind] = now
        else:
            SILENT_WATCHES.labels(kind).inc()
            log.warning("a watch did not end in time and is restarted", kind=kind, seconds=round(lasted, 1))

    def opened(self, kind: str) -> None:
        """The requested watch begins. Server and client measure its duration from the request."""
        self._opened_at[kind] = self._requested_at[kind]

    def received(self, kind: str) -> None:
        """A watch delivered an event."""
        self._alive_at[kind] = self._clock()

    def silent_kinds(self) -> list[str]:
        """The kinds whose watches have for too long neither delivered an event nor ended in time."""
        now = self._clock()
        return [kind for kind, at in self._alive_at.items() if now - at >= SILENT * self.duration]
