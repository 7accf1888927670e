"""The dataset that a replay plays, and the interface of the sources that provide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeAlias

from tapedeck_common.bar_times import closes_of
from tapedeck_common.market import OrderKey, TradePlace, series_key
from tapedeck_common.store.bars import BarBlock, Ints
from tapedeck_common.store.trades import TradeBlock
from tapedeck_common.topics import shard_of
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_crds.source import Played

LAST_SYMBOL = "\U0010ffff"  # sorts after every symbol
RecordBlock: TypeAlias = BarBlock | TradeBlock


class StartAfter(NamedTuple):
    """The exclusive lower bound of a read: records up to and including this one are skipped.

    ``ts`` is the open time of a bar (of the bar whose place it takes, where a scenario reschedules it) and ``place``
    its revision or its turn. For a trade they are its own time and its place within it.
    """

    ts: int
    symbol: str
    place: int | TradePlace = 0

    @property
    def trade(self) -> TradePlace:
        """The place of a trade; before every trade of the time where there is none."""
        return self.place if isinstance(self.place, tuple) else (-1, "")


@dataclass(frozen=True)
class ScheduledBars(BarBlock):
    """Bars in the order of publishing, where a scenario makes it differ from the order of event times.

    ``at`` is the virtual time at which each bar is published, milliseconds UTC. ``turn`` distinguishes records of one
    symbol and ``at``. The order is (at, symbol, turn), and it is unique.
    """

    at: Ints
    turn: Ints


@dataclass(frozen=True)
class Dataset:
    """Symbols and range of a replay, resolved once. Symbols are sorted.

    Bars have their open time, trades their time, in [start, end), milliseconds UTC. ``lateness`` is how long after its
    event time a record may be published, milliseconds: watermarks lag virtual time by as much. ``interval`` is the
    length of a bar; for trades it is only the length of a step. ``built_from`` has the symbols whose bars are
    aggregated from a finer interval of the store, and that interval.
    """

    exchange: str
    symbols: tuple[str, ...]
    interval: str
    start: int
    end: int
    rows_by_symbol: dict[str, int]
    fingerprint: str
    lateness: int = 0
    channel: Played = "bars"
    built_from: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many records one pass publishes."""
        return sum(self.rows_by_symbol.values())

    @property
    def length(self) -> BarLength:
        """The length of a bar."""
        return BAR_LENGTHS[self.interval]

    @property
    def interval_ms(self) -> int:
        """The length of a bar, milliseconds; of a month the longest. Scenarios allow no months."""
        return self.length.ms

    def events_of(self, times: Ints) -> Ints:
        """The event times of records: a bar is known at its close, a trade at once."""
        return closes_of(self.length, times) if self.channel == "bars" else times

    def time_of(self, v: int) -> int:
        """The latest own time of a record whose event time is at most ``v``: of a bar, its open."""
        return self.length.shifted(v, -1) if self.channel == "bars" else v

    @property
    def virtual_start(self) -> int:
        """Virtual time at which a pass begins: every record is later."""
        return self.start if self.channel == "bars" else self.start - 1

    @property
    def last_event(self) -> int:
        """Virtual time at which the last possible record is published at the latest."""
        last = self.end - 1
        if self.channel == "trades":
            return last
        return self.length.close_of(last) + self.lateness

    def start_after_time(self, v: int) -> StartAfter:
        """The bound that skips every record published up to and including virtual time ``v``."""
        return StartAfter(self.time_of(v), LAST_SYMBOL)

    def start_after_record(self, key: OrderKey) -> StartAfter:
        """The bound that skips every record up to and including the one with this order key."""
        return StartAfter(self.time_of(key[0]), key[2], key[4])

    def for_shard(self, shard: int, shards: int) -> Dataset:
        """The dataset with the shard's symbols only; its range stays that of all symbols."""
        if shards == 1:
            return self
        symbols = tuple(each for each in self.symbols if shard_of(series_key(self.exchange, each), shards) == shard)
        return replace(self, symbols=symbols, rows_by_symbol={each: self.rows_by_symbol[each] for each in symbols})


class RecordSource(Protocol):
    """Where a dataset's records come from. Raises Unavailable after bounded retries, InvalidReplay if none can help."""

    def resolve(self) -> Dataset:
        """The symbols and the range that the spec selects now."""

    def resume(self, dataset: Dataset) -> None:
        """Prepare to read a dataset that an earlier pod, or shard 0, resolved.

        Raises InvalidReplay ``DataChanged`` where its records are known to be gone.
        """

    def count(self, dataset: Dataset, v: int) -> int:
        """How many records are published up to and including virtual time ``v``."""

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[RecordBlock]:
        """The records in order, from the first one after ``after``."""


class BarSource(RecordSource, Protocol):
    """A source of bars."""

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        """The bars in order, from the first one after ``after``."""
