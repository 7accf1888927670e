"""A model of what a replay must publish, in its simplest form: virtual time advances millisecond by millisecond.

Speeds are integers, so that it is exact. It uses no code under test.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

Pass = tuple[int, int]
"""Seeks so far, rounds so far."""


@dataclass
class ReplayModel:
    """``events`` are the event times of the records, in order; ``changes`` are controls by their wall time.

    Records whose event time has passed are released, and ``publish`` publishes them. A seek discards released records,
    or publishes them first if ``prompt`` is set. All times are milliseconds UTC.
    """

    events: list[int]
    start: int
    end: int
    interval: int
    wall: int
    v: int = 0
    speed: int = 0
    seeks: int = 0
    round: int = 0
    rounds: int = 1  # 0: without end
    until: int | None = None
    prompt: bool = False
    changes: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    published: dict[Pass, list[int]] = field(default_factory=dict)
    released: dict[Pass, list[int]] = field(default_factory=dict)  # published by the next ``publish``

    def __post_init__(self) -> None:
        self.v = self.start

    def advance(self, wall: int) -> None:
        """Let wall time pass without publishing."""
        while self.wall < wall:
            self.wall += 1
            self._move(self._pace())
            for what, value in self.changes.pop(self.wall, []):
                self._change(what, value)

    def publish(self) -> None:
        """Publish every released record."""
        for which, events in self.released.items():
            self.published.setdefault(which, []).extend(events)
        self.released.clear()

    def _pace(self) -> int:
        if self.until is None:
            return self.speed
        return max(min(self.speed, self.until - self.v), 0)

    def _move(self, by: int) -> None:
        to = self.v + by
        while to > self.end and self._another_round():
            self._release_to(self.end)
            self.round, self.v, to = self.round + 1, self.start, to - (self.end - self.start)
        self._release_to(to)

    def _release_to(self, to: int) -> None:
        events = self.events[bisect_right(self.events, self.v) : bisect_right(self.events, to)]
        if events:
            self.released.setdefault((self.seeks, self.round), []).extend(events)
        self.v = to

    def _another_round(self) -> bool:
        return self.rounds == 0 or (self.rounds > 1 and self.round + 1 < self.rounds)

    def _change(self, what: str, value: int) -> None:
        if what == "speed":
            self.speed = value
        elif what == "loop":
            self.rounds = value
        elif what == "until":
            self.until = value if 0 < value < self.end else None
        elif what == "seek":
            if self.prompt:
                self.publish()
            self.released.clear()  # a record that is not published before the seek is not published at all
            self.v, self.seeks = min(max(value, self.start), self.end), self.seeks + 1
        elif what == "step":
            self._move(value * self.interval)
            self.v = min(self.v, self.end)
        if self.rounds != 1:
            self.v = min(self.v, self.end)
