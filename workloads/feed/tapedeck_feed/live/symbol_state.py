"""The state of one symbol of a live Feed: its trades in order, its bars, and whether something may be missing. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from tapedeck_common.market import Trade
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.exchanges.adapter import ExchangeMarkets
from tapedeck_feed.live.bar_series import BarSeries, Fill
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.resume import PublishedRecords
from tapedeck_feed.live.trade_sequencer import RECENT_MAX, TradeSequencer, create_sequencer


class Continuity(Enum):
    """Whether something may be missing between the published records of a symbol and the next one.

    | event | from | to | recovery |
    |---|---|---|---|
    | the connection is lost | any | RECONNECTING | |
    | a trade arrives whose id is the next | RECONNECTING | CONTINUOUS | |
    | another trade arrives | RECONNECTING | GAP_SUSPECTED | starts |
    | the new connection has settled | RECONNECTING, GAP_SUSPECTED | same | starts |
    | a message is malformed, or a silent subscription is probed | any | GAP_SUSPECTED | starts |
    | a tick after ``retry_at`` | GAP_SUSPECTED | same | starts |
    | the recovery succeeds | any | CONTINUOUS | ends |
    | the recovery fails | any | GAP_SUSPECTED | ends |

    Beside the state, pending trades always start a recovery: ids that count up show a gap without a lost connection.
    """

    CONTINUOUS = auto()
    RECONNECTING = auto()
    GAP_SUSPECTED = auto()


@dataclass(eq=False)
class SymbolState:
    """One symbol. ``recovery`` is the running recovery of gaps, ``recovering_bars`` the intervals whose bars are
    being recovered; ``retry_at`` is when to recover again after a failure (``time.monotonic``).
    """

    symbol: str
    sequencer: TradeSequencer
    series: dict[str, BarSeries]
    continuity: Continuity = Continuity.CONTINUOUS
    recovery: asyncio.Task[None] | None = None
    retry_at: float = 0.0
    recovering_bars: set[str] = field(default_factory=set)

    @property
    def has_data(self) -> bool:
        """Whether a trade or a bar has ever arrived."""
        return self.sequencer.last is not None or any(
            series.recovery_start is not None for series in self.series.values()
        )

    @property
    def is_current(self) -> bool:
        """Whether no trade up to now can be missing, as far as the pod can know: bars may be closed."""
        return self.continuity is Continuity.CONTINUOUS and self.recovery is None and not self.sequencer.pending

    @property
    def needs_recovery(self) -> bool:
        """Whether the next tick after ``retry_at`` should start a recovery."""
        return self.continuity is Continuity.GAP_SUSPECTED and self.recovery is None

    def connection_lost(self, *, of_trades: bool) -> None:
        """A subscription of the symbol ended."""
        self.continuity = Continuity.RECONNECTING
        if of_trades:
            self.sequencer.expect_gap()

    def suspect_gap(self) -> None:
        """Something may have been missed although the connection is up."""
        self.continuity = Continuity.GAP_SUSPECTED

    def trade_arrived(self) -> bool:
        """A trade was added to the sequencer; returns whether a recovery should start."""
        if self.continuity is not Continuity.RECONNECTING:
            return self.sequencer.pending > 0
        if self.sequencer.contiguous_ids and not self.sequencer.pending:
            self.continuity = Continuity.CONTINUOUS
            return False
        self.continuity = Continuity.GAP_SUSPECTED
        return True

    def recovery_succeeded(self) -> None:
        """Everything that the exchange has was published."""
        self.continuity = Continuity.CONTINUOUS

    def recovery_failed(self, retry_at: float) -> None:
        """A request to the exchange failed."""
        self.continuity = Continuity.GAP_SUSPECTED
        self.retry_at = retry_at


def create_states(
    exchange: str, markets: ExchangeMarkets, options: LiveOptions, published: Mapping[str, PublishedRecords]
) -> dict[str, SymbolState]:
    """The state of each symbol of a pod, by name."""
    intervals = options.built_intervals + options.own_intervals
    return {
        symbol: resume_symbol(
            exchange,
            symbol,
            intervals,
            options.fill,
            published.get(symbol, PublishedRecords()),
            contiguous_ids=markets.contiguous_ids,
        )
        for symbol in markets.symbols
    }


def resume_symbol(
    exchange: str,
    symbol: str,
    intervals: Sequence[str],
    fill: Fill,
    published: PublishedRecords,
    *,
    contiguous_ids: bool,
) -> SymbolState:
    """A symbol that continues after what a predecessor published, if anything."""
    last = published.trades[-1] if published.trades else None
    recent_ids = (trade.id for trade in published.trades[-RECENT_MAX:])
    sequencer = create_sequencer(contiguous_ids=contiguous_ids, last=last, recent_ids=recent_ids)
    sequencer.expect_gap()  # trades since the predecessor's end come first
    all_series = {}
    for interval in intervals:
        all_series[interval] = series = BarSeries(exchange, symbol, interval, fill=fill)
        closed = published.bars.get(interval, {})
        if published.trades or closed:
            series.resume(published.trades, closed, _complete_since(published.trades))
    is_resumed = last is not None or bool(published.bars)
    continuity = Continuity.RECONNECTING if is_resumed else Continuity.CONTINUOUS
    return SymbolState(symbol, sequencer, all_series, continuity)


def covers_running_bars(published: PublishedRecords, intervals: Iterable[str]) -> bool:
    """Whether the trades reach back before the interval of the last one, at each length: its bar can be rebuilt."""
    first, last = published.trades[0].ts, published.trades[-1].ts
    return all(first < BAR_LENGTHS[interval].open_of(last) for interval in intervals)


def _complete_since(trades: Sequence[Trade]) -> int | None:
    """From when on all trades are known: after the first one; None without trades."""
    return trades[0].ts + 1 if trades else None
