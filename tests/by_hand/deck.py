"""What a deck has to publish, said in the simplest way: virtual time moves on millisecond by millisecond.

Speeds are whole, so that it is exact. Nothing here is taken from the code under test.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

Pass = tuple[int, int]
"""Jumps so far, rounds so far."""


@dataclass
class Model:
    """``events`` are when bars are due, in order; ``changes`` are what happens at a wall time, in order.

    With ``prompt`` what was due by a seek is published before it; without it only what was due at the last look.
    """

    events: list[int]
    start: int
    end: int
    interval: int
    wall: int
    v: int = 0
    speed: int = 0
    jumps: int = 0
    round: int = 0
    rounds: int = 1  # 0 for ever
    until: int | None = None
    prompt: bool = False
    changes: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    published: dict[Pass, list[int]] = field(default_factory=dict)
    seen: dict[Pass, list[int]] = field(default_factory=dict)  # due, and published at the next look

    def __post_init__(self) -> None:
        self.v = self.start

    def run(self, wall: int) -> None:
        """Let time pass, without a look."""
        while self.wall < wall:
            self.wall += 1
            self._move(self._pace())
            for what, value in self.changes.pop(self.wall, []):
                self._change(what, value)

    def look(self) -> None:
        """All that is due is published."""
        for which, events in self.seen.items():
            self.published.setdefault(which, []).extend(events)
        self.seen.clear()

    def _pace(self) -> int:
        if self.until is None:
            return self.speed
        return max(min(self.speed, self.until - self.v), 0)

    def _move(self, by: int) -> None:
        to = self.v + by
        while to > self.end and self._again():
            self._pass_to(self.end)
            self.round, self.v, to = self.round + 1, self.start, to - (self.end - self.start)
        self._pass_to(to)

    def _pass_to(self, to: int) -> None:
        due = self.events[bisect_right(self.events, self.v) : bisect_right(self.events, to)]
        if due:
            self.seen.setdefault((self.jumps, self.round), []).extend(due)
        self.v = to

    def _again(self) -> bool:
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
                self.look()
            self.seen.clear()  # what was not published by now is not played any more
            self.v, self.jumps = min(max(value, self.start), self.end), self.jumps + 1
        elif what == "step":
            self._move(value * self.interval)
            self.v = min(self.v, self.end)
        if self.rounds != 1:
            self.v = min(self.v, self.end)
