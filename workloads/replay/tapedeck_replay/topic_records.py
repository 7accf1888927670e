"""What a topic can hold that is played: bars or trades, read from their values."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple, Protocol, TypeVar

from tapedeck_common.market import bar_problem, trade_problem
from tapedeck_common.store.bars import Block
from tapedeck_common.store.trades import TradeBlock
from tapedeck_common.wire import decode_bar, decode_trade
from tapedeck_crds.base import INTERVAL_MS, Interval
from tapedeck_crds.source import Played
from tapedeck_replay.spool import BarSpool, Row, Spool, TradeSpool
from tapedeck_replay.tape import BadInput, Rows

B = TypeVar("B", bound=Rows)


class Found(NamedTuple):
    """A record as its spool takes it, and the series that it is of."""

    exchange: str
    interval: str
    row: Row


class Kind(Protocol[B]):
    """Bars, or trades."""

    channel: Played

    def spool(self) -> Spool[B]:
        """An empty one."""

    def read(self, value: bytes, live: bool) -> Found | None:
        """The record of a value; None for a bar that is not closed. Raises ValueError for what is impossible."""

    def length(self, interval: str) -> int:
        """From a record's time to the end of what it stands for, milliseconds."""

    def mixed(self, topic: str, kinds: Set[tuple[str, str]]) -> BadInput:
        """What to say where there are several exchanges or intervals and none was chosen."""


class Bars:
    """Bars, as Feeds and Replays publish them."""

    channel: Played = "bars"

    def spool(self) -> Spool[Block]:
        return BarSpool()

    def read(self, value: bytes, live: bool) -> Found | None:
        bar = decode_bar(value)
        if problem := bar_problem(bar):
            raise ValueError(problem)
        return Found(bar.exchange, bar.interval, BarSpool.row(bar, live)) if bar.closed else None

    def length(self, interval: str) -> int:
        return INTERVAL_MS[interval]

    def mixed(self, topic: str, kinds: Set[tuple[str, str]]) -> BadInput:
        there = ", ".join(f"{interval} from {exchange}" for exchange, interval in sorted(kinds))
        message = f"source.topic: {topic} has bars of {there}; expected exchange and interval to choose of them"
        return BadInput("MixedIntervals", message)


class Trades:
    """Trades, as Feeds and Replays publish them. ``interval`` is how far a step goes."""

    channel: Played = "trades"

    def __init__(self, interval: Interval) -> None:
        self._interval = interval

    def spool(self) -> Spool[TradeBlock]:
        return TradeSpool()

    def read(self, value: bytes, live: bool) -> Found | None:
        trade = decode_trade(value)
        if problem := trade_problem(trade):
            raise ValueError(problem)
        return Found(trade.exchange, self._interval, TradeSpool.row(trade))

    def length(self, interval: str) -> int:
        return 1

    def mixed(self, topic: str, kinds: Set[tuple[str, str]]) -> BadInput:
        there = ", ".join(sorted(exchange for exchange, _ in kinds))
        return BadInput("MixedExchanges", f"source.topic: {topic} has trades of {there}; expected exchange to choose")
