"""Codecs of the records that a topic can contain and a replay can play: bars or trades."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple, Protocol, TypeVar

from tapedeck_common.market import bar_problem, trade_problem
from tapedeck_common.store.bars import BarBlock
from tapedeck_common.store.trades import TradeBlock
from tapedeck_common.wire import decode_bar, decode_trade
from tapedeck_crds.intervals import BAR_LENGTHS, Interval
from tapedeck_crds.source import Played
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import RecordBlock
from tapedeck_replay.source.sorted_table import SortedBars, SortedTable, SortedTrades, TableRow

B = TypeVar("B", bound=RecordBlock)


class DecodedRecord(NamedTuple):
    """A record as a row of its table, and the exchange and interval of its series."""

    exchange: str
    interval: str
    row: TableRow


class RecordCodec(Protocol[B]):
    """Decodes bars, or trades."""

    channel: Played

    def new_table(self) -> SortedTable[B]:
        """An empty table for these records."""

    def decode(self, value: bytes, live: bool) -> DecodedRecord | None:
        """The record of a message's value; None for an unclosed bar. Raises ValueError for an invalid record."""

    def end(self, last: int, interval: str) -> int:
        """The end of the dataset, of which a record's time is the last."""

    def mixed_series(self, topic: str, found: Set[tuple[str, str]]) -> InvalidReplay:
        """The error for a topic with several exchanges or intervals, of which the spec selects none."""


class BarCodec:
    """Bars, as Feeds and Replays publish them."""

    channel: Played = "bars"

    def new_table(self) -> SortedTable[BarBlock]:
        return SortedBars()

    def decode(self, value: bytes, live: bool) -> DecodedRecord | None:
        bar = decode_bar(value)
        if problem := bar_problem(bar):
            raise ValueError(problem)
        return DecodedRecord(bar.exchange, bar.interval, SortedBars.row(bar, live)) if bar.closed else None

    def end(self, last: int, interval: str) -> int:
        return BAR_LENGTHS[interval].close_of(last)

    def mixed_series(self, topic: str, found: Set[tuple[str, str]]) -> InvalidReplay:
        series = ", ".join(f"{interval} from {exchange}" for exchange, interval in sorted(found))
        message = f"source.topic: {topic} has bars of {series}; expected exchange and interval to select one of them"
        return InvalidReplay("MixedIntervals", message)


class TradeCodec:
    """Trades, as Feeds and Replays publish them. ``interval`` is the length of a step."""

    channel: Played = "trades"

    def __init__(self, interval: Interval) -> None:
        self._interval = interval

    def new_table(self) -> SortedTable[TradeBlock]:
        return SortedTrades()

    def decode(self, value: bytes, live: bool) -> DecodedRecord | None:
        trade = decode_trade(value)
        if problem := trade_problem(trade):
            raise ValueError(problem)
        return DecodedRecord(trade.exchange, self._interval, SortedTrades.row(trade))

    def end(self, last: int, interval: str) -> int:
        return last + 1

    def mixed_series(self, topic: str, found: Set[tuple[str, str]]) -> InvalidReplay:
        exchanges = ", ".join(sorted(exchange for exchange, _ in found))
        message = f"source.topic: {topic} has trades of {exchanges}; expected exchange to select one of them"
        return InvalidReplay("MixedExchanges", message)
