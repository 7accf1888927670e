"""Warnings and errors that repeat: the first is written at once, its repetitions once in a while with their number."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 600.0
KINDS_MAX = 1_000
_REPEATING = frozenset({"warning", "error", "critical"})
_NUMBER = re.compile(r"\d+")

EventDict: TypeAlias = MutableMapping[str, Any]


@dataclass
class _Kind:
    """Lines that differ in numbers alone. ``wait`` doubles each time that repetitions are written."""

    written_at: float
    wait: float = FIRST_SECONDS
    repeated: int = 0
    last: EventDict | None = None


class RepeatFilter:
    """A processor of structlog. ``write`` writes a line whose repetitions ended without another line of its kind.

    A line that stands for others has their number in ``repeated``.
    """

    def __init__(self, write: Callable[[EventDict], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._kinds: OrderedDict[str, _Kind] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """The event, or DropEvent where it repeats."""
        with self._lock:
            now = self._now()
            overdue = [kind.last for kind in self._overdue(now)]
            repeats = event.get("level") in _REPEATING and self._count(event, now)
        for last in overdue:
            if last is not None:
                self._write(last)
        if repeats:
            raise structlog.DropEvent
        return event

    def flush(self) -> None:
        """Write what was kept back, at the end of the program."""
        with self._lock:
            kept = [self._take(kind) for kind in self._kinds.values() if kind.repeated]
            self._kinds.clear()
        for last in kept:
            if last is not None:
                self._write(last)

    def _count(self, event: EventDict, now: float) -> bool:
        """Whether to keep the event back."""
        key = _kind_of(event)
        kind = self._kinds.get(key)
        if kind is None or (now - kind.written_at > 2 * kind.wait and not kind.repeated):
            self._kinds[key] = _Kind(now)
            self._kinds.move_to_end(key)
            if len(self._kinds) > KINDS_MAX:
                self._kinds.popitem(last=False)
            return False
        kind.repeated += 1
        kind.last = {name: value for name, value in event.items() if name != "exc_info"}
        if now - kind.written_at < kind.wait:
            return True
        event["repeated"] = kind.repeated
        self._restart(kind, now)
        return False

    def _overdue(self, now: float) -> list[_Kind]:
        """Kinds whose repetitions ended a while ago, with the line that tells of them."""
        found = []
        for kind in self._kinds.values():
            if kind.repeated and now - kind.written_at >= 2 * kind.wait:
                found.append(_Kind(now, last=self._take(kind)))
                self._restart(kind, now)
        return found

    @staticmethod
    def _take(kind: _Kind) -> EventDict | None:
        return None if kind.last is None else {**kind.last, "repeated": kind.repeated}

    @staticmethod
    def _restart(kind: _Kind, now: float) -> None:
        kind.written_at, kind.repeated, kind.last = now, 0, None
        kind.wait = min(kind.wait * 2, LONGEST_SECONDS)


def _kind_of(event: EventDict) -> str:
    """The line without its time and without numbers."""
    fields = (f"{name}={event[name]}" for name in sorted(event) if name not in ("timestamp", "exc_info"))
    return _NUMBER.sub("#", "\n".join([*fields, type(event.get("exc_info")).__name__]))
