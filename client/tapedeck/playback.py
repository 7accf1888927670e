"""The bars of a replay in its order, from what the gateway answers for each symbol."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tapedeck.answers import objects_of, part_of
from tapedeck.times import close_of, datetime_of, longest_ms


@dataclass(frozen=True, slots=True)
class PlayedBar:
    """A bar that a replay has published. ``symbol`` is its market, ``ts`` its open, milliseconds UTC.

    Prices are in the quote currency. ``known_at`` is its close: the virtual time at which it was published.
    """

    symbol: str
    interval: str
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def time(self) -> datetime:
        """The open, in UTC."""
        return datetime_of(self.ts)

    @property
    def known_at(self) -> datetime:
        """The close, in UTC."""
        return datetime_of(close_of(self.ts, self.interval))


@dataclass
class _Symbol:
    """How far a symbol is read: the open from which to ask, and the event time up to which all bars are here."""

    following: int
    complete: int | None = None
    waiting: deque[tuple[int, PlayedBar]] = field(default_factory=deque)
    ended: bool = False


class PlaybackOrder:
    """Merges the answers of several symbols into the order (close, symbol), and follows seeks and rounds.

    After a seek or in a new round it continues with the first bar that is known later than its start.
    """

    def __init__(self, symbols: Sequence[str], interval: str, start: int) -> None:
        self._interval = interval
        self._start = start
        self._epoch: tuple[int, ...] | None = None
        self._known_after: int | None = None
        self._symbols = {symbol: _Symbol(start) for symbol in symbols}

    def following(self, symbol: str) -> int:
        """The open, milliseconds UTC, from which to ask for bars of the symbol."""
        return self._symbols[symbol].following

    def add(self, symbol: str, answer: Mapping[str, Any]) -> bool:
        """Take an answer of GET /bars; returns whether there is more to ask for at once. Raises UnexpectedAnswer."""
        bars, replay = objects_of(answer, "bars"), part_of(answer, "replay")
        epoch = tuple(int(part) for part in str(part_of(replay, "epoch")).split("."))
        epoch_start, position, ended = (part_of(replay, name) for name in ("epoch_start", "position", "ended"))
        if self._epoch is not None and epoch < self._epoch:
            return False  # of a gateway that has read less than the one that answered before
        if epoch != self._epoch:
            restarted = self._epoch is not None or epoch_start is not None
            self._begin(epoch, epoch_start)
            if restarted:
                return True  # what this answer has was asked for from another place
        state = self._symbols[symbol]
        for bar in bars:
            self._take(state, symbol, bar)
        more = answer.get("next") is not None and bool(bars)
        state.complete = close_of(bars[-1]["ts"], self._interval) if more else position
        state.ended = bool(ended) and not more
        return more

    def take(self) -> list[PlayedBar]:
        """The bars that are known to be next, in order."""
        limits = [state.complete for state in self._symbols.values()]
        known = [limit for limit in limits if limit is not None]
        if len(known) < len(limits):
            return []
        ready: list[tuple[int, PlayedBar]] = []
        limit = min(known)
        for state in self._symbols.values():
            while state.waiting and state.waiting[0][0] <= limit:
                ready.append(state.waiting.popleft())
        return [bar for _, bar in sorted(ready, key=lambda each: (each[0], each[1].symbol))]

    @property
    def ended(self) -> bool:
        """Whether the replay has ended and all of its bars were taken."""
        return all(state.ended and not state.waiting for state in self._symbols.values())

    def _begin(self, epoch: tuple[int, ...], start: int | None) -> None:
        first = self._start if start is None else max(self._start, start - longest_ms(self._interval))
        self._epoch = epoch
        self._known_after = start
        for symbol in self._symbols:
            self._symbols[symbol] = _Symbol(first)

    def _take(self, state: _Symbol, symbol: str, bar: Mapping[str, Any]) -> None:
        opened = int(part_of(bar, "ts"))
        state.following = opened + 1
        closes = close_of(opened, self._interval)
        if self._known_after is not None and closes <= self._known_after:
            return
        values = (float(part_of(bar, name)) for name in ("open", "high", "low", "close", "volume"))
        state.waiting.append((closes, PlayedBar(symbol, self._interval, opened, *values)))
