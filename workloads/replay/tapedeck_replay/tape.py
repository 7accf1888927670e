"""What is played, whatever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tapedeck.market import OrderKey
from tapedeck.store.bars import Block, Ints
from tapedeck_crds.base import INTERVAL_MS

LAST_SYMBOL = "\U0010ffff"  # sorts behind every symbol


class After(NamedTuple):
    """The last record that is not wanted any more.

    ``ts`` is a bar's open, or that of the bar in whose place it was published; ``id`` its revision or turn.
    """

    ts: int
    symbol: str
    id: int | str = 0


@dataclass(frozen=True)
class Scheduled(Block):
    """Bars in the order of publishing, which a scenario can make another than that of their event times.

    ``at`` is the virtual time at which each is due, ``turn`` tells records of one symbol and ``at`` apart:
    (at, symbol, turn) is the order, and no two records have the same.
    """

    at: Ints
    turn: Ints


class BadInput(Exception):
    """What trying again can't mend; ``reason`` is a CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Unavailable(Exception):
    """Broker or store did not answer for too long: the next start may fare better."""


class Stopped(Exception):
    """Asked to end before the first bar was played."""


@dataclass(frozen=True)
class Tape:
    """Symbols and range, resolved once. Opens in [start, end), symbols sorted.

    ``lateness`` is how long after its event time a record may be published, milliseconds: watermarks stay
    as far behind virtual time.
    """

    exchange: str
    symbols: tuple[str, ...]
    interval: str
    start: int
    end: int
    rows_of: dict[str, int]
    fingerprint: str
    lateness: int = 0

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
        """When the last possible bar is published at the latest."""
        return self.end - 1 - (self.end - 1) % self.step + self.step + self.lateness

    def after_event(self, v: int) -> After:
        """Where to go on after all that is due up to and with ``v``."""
        return After(v - self.step, LAST_SYMBOL)

    def after_bar(self, key: OrderKey) -> After:
        """Where to go on after one bar."""
        return After(key[0] - self.step, key[2], key[4])


class Source(Protocol):
    """Where a tape's bars come from. Raises Unavailable after bounded retries, BadInput where none can help."""

    def resolve(self) -> Tape:
        """What there is to play now."""

    def count(self, tape: Tape, v: int) -> int:
        """How many of the tape's bars have an event time up to and with ``v``."""

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        """The tape's bars in order, those later than ``after``."""
