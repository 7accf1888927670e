"""What is played, whatever it comes from."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from tapedeck_common.market import OrderKey
from tapedeck_common.store.bars import Block, Ints
from tapedeck_common.store.trades import TradeBlock
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.errors import Interrupted, InvalidInput
from tapedeck_crds.source import Played

LAST_SYMBOL = "\U0010ffff"  # sorts behind every symbol
Rows: TypeAlias = Block | TradeBlock


class After(NamedTuple):
    """The last record that is not wanted any more.

    ``ts`` is a bar's open, or that of the bar in whose place it was published, and ``id`` its revision or turn; of a
    trade they are its own.
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


class BadInput(InvalidInput):
    """The Replay cannot be played as its spec says. ``reason`` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


class Stopped(Interrupted):
    """The pod was asked to stop before the end. Its exit code is that of a process that SIGTERM has ended."""

    exit_code = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Tape:
    """Symbols and range, resolved once. Opens, or times of trades, in [start, end), symbols sorted.

    ``lateness`` is how long after its event time a record may be published, milliseconds: watermarks stay
    as far behind virtual time. ``interval`` is a bar's length; with trades it only says how far a step goes.
    """

    exchange: str
    symbols: tuple[str, ...]
    interval: str
    start: int
    end: int
    rows_of: dict[str, int]
    fingerprint: str
    lateness: int = 0
    channel: Played = "bars"

    @property
    def rows(self) -> int:
        """Bars or trades of one pass."""
        return sum(self.rows_of.values())

    @property
    def step(self) -> int:
        """Length of a bar in milliseconds."""
        return INTERVAL_MS[self.interval]

    @property
    def known_after(self) -> int:
        """From a record's own time to its event time: a bar is known at its close, a trade at once."""
        return self.step if self.channel == "bars" else 0

    @property
    def begin(self) -> int:
        """Virtual time that all of the tape is later than."""
        return self.start if self.channel == "bars" else self.start - 1

    @property
    def last_event(self) -> int:
        """When the last possible record is published at the latest."""
        last = self.end - 1
        return last if self.channel == "trades" else last - last % self.step + self.step + self.lateness

    def after_event(self, v: int) -> After:
        """Where to go on after all that is due up to and with ``v``."""
        return After(v - self.known_after, LAST_SYMBOL)

    def after_bar(self, key: OrderKey) -> After:
        """Where to go on after one record."""
        return After(key[0] - self.known_after, key[2], key[4])


class Source(Protocol):
    """Where a tape's records come from. Raises Unavailable after bounded retries, BadInput where none can help."""

    def resolve(self) -> Tape:
        """What there is to play now."""

    def resume(self, tape: Tape) -> None:
        """Be ready for what an earlier life, or the first shard, resolved.

        Raises BadInput ``DataChanged`` where that is known not to be there any more.
        """

    def count(self, tape: Tape, v: int) -> int:
        """How many of the tape's records have an event time up to and with ``v``."""

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Rows]:
        """The tape's records in order, those later than ``after``."""


class BarSource(Source, Protocol):
    """A source of bars."""

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        """The tape's bars in order, those later than ``after``."""
