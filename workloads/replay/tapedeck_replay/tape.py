"""What is played, whatever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tapedeck.market import OrderKey
from tapedeck.store.bars import Block
from tapedeck_crds.base import INTERVAL_MS

After: TypeAlias = tuple[int, str]
"""(open, symbol) of the last bar that is not wanted any more."""

LAST_SYMBOL = "\U0010ffff"  # sorts behind every symbol


class BadInput(Exception):
    """What trying again can't mend; ``reason`` is a CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Unavailable(Exception):
    """Broker or store did not answer for too long: the next start may fare better."""


@dataclass(frozen=True)
class Tape:
    """Symbols and range, resolved once. Opens in [start, end), symbols sorted."""

    exchange: str
    symbols: tuple[str, ...]
    interval: str
    start: int
    end: int
    rows_of: dict[str, int]
    fingerprint: str

    @property
    def rows(self) -> int:
        """Bars of one pass."""
        return sum(self.rows_of.values())

    @property
    def step(self) -> int:
        """Length of a bar in milliseconds."""
        return INTERVAL_MS[self.interval]

    @property
    def last_event(self) -> int:
        """Event time of the last possible bar."""
        return self.end - 1 - (self.end - 1) % self.step + self.step

    def after_event(self, v: int) -> After:
        """Where to go on after every bar with event time up to and with ``v``."""
        return (v - self.step, LAST_SYMBOL)

    def after_bar(self, key: OrderKey) -> After:
        """Where to go on after one bar."""
        return (key[0] - self.step, key[2])


class Source(Protocol):
    """Where a tape's bars come from. Raises Unavailable after bounded retries, BadInput where none can help."""

    def resolve(self) -> Tape:
        """What there is to play now."""

    def count(self, tape: Tape, v: int) -> int:
        """How many of the tape's bars have an event time up to and with ``v``."""

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        """The tape's bars in order, those later than ``after``."""
