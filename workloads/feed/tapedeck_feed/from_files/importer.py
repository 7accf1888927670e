"""Imports files: each symbol's rows, sorted and without repeats, as records on the log."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import Event

from tapedeck_common import topics
from tapedeck_common.files import (
    FilesAccess,
    InvalidRow,
    Part,
    ReadingNotes,
    SeriesReader,
    SourceItem,
    SourceRow,
    SymbolItem,
    SymbolSeries,
    TradeOrder,
    ValidBlock,
    ValidTrades,
    count_out_of_order,
    deduplicate,
    external_sort,
    find_files,
    in_parts,
    single_rows,
)
from tapedeck_common.files.trade_bars import TradeBars
from tapedeck_common.logs import log
from tapedeck_common.market import market_time_end, series_key
from tapedeck_common.trade_gaps import TradeGapFinder, is_counting_id
from tapedeck_common.wire import encode, encode_all
from tapedeck_crds.errors import Interrupted, InvalidInput
from tapedeck_crds.files import Files
from tapedeck_crds.session import Session
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.sessions import publish_sessions

ROWS_TOGETHER = 2_000
REFUSED_IDS_MAX = 100_000  # further ones are counted as missing, too


class NoRowTaken(InvalidInput):
    """Every row was refused, or there is none."""

    reason = "NoRows"


class FileImporter:
    """Imports the files of a Feed. A second import publishes the same again; the store does not change.

    ``session`` is that of the symbols.
    """

    def __init__(
        self,
        feed: str,
        files: Files,
        access: FilesAccess,
        publisher: MarketDataPublisher,
        stats: ImportStats,
        stop: Event,
        session: Session | None = None,
    ) -> None:
        self._feed = feed
        self._files = files
        self._access = access
        self._publisher = publisher
        self._stats = stats
        self._stop = stop
        self._session = session
        self._notes = ReadingNotes()
        self._refused_ids: dict[str, set[int]] = {}  # of trades, by symbol
        self._kept_ids = 0
        self._on_delivered = publisher.callback(_ignore)

    def run(self) -> None:
        """Publish all.

        Raises InvalidFiles, FilesUnavailable, NoRowTaken, DeliveryFailed, Interrupted, and CannotSort where the
        disk is full.
        """
        found = find_files(self._files, self._access)
        self._stats.total = sum(map(len, found.values()))
        reader = SeriesReader(self._files, self._refuse, self._choose, self._session, self._notes)
        for series in reader.series(found):
            self._import(series)
            self._stats.symbols += 1
            if sources := found.get(series.symbol):  # else the series is one of many in the same files
                self._flush()
                self._stats.done += len(sources)
        self._flush()
        self._stats.done = self._stats.total
        self._stats.empty = self._notes.empty
        self._stats.skipped = len(self._notes.skipped)
        for reason in self._notes.skipped:
            log.warning("left out of an archive", reason=reason)
        for symbol, layouts in self._notes.mixed().items():
            log.warning("files in different layouts", symbol=symbol, layouts=layouts)
        if not self._stats.taken:
            raise NoRowTaken(f"no row was taken: {self._stats.refused_summary() or 'the files hold none'}")

    def _flush(self) -> None:
        self._publish_refusals()
        self._publisher.flush()
        self._count_acknowledged()

    def _import(self, series: SymbolSeries) -> None:
        late, symbol = self._stats.late, series.symbol
        publish_sessions(self._publisher, self._session, self._files.exchange, [symbol])
        rows = count_out_of_order(series.rows, partial(self._stats.count, "late"))
        unique = deduplicate(
            external_sort(rows), partial(self._stats.count, "duplicates"), partial(self._refuse_conflict, symbol)
        )
        if series.kind == "trades":
            self._publish_trades(symbol, unique)
        else:
            for part in in_parts(unique, ROWS_TOGETHER):
                self._publish(topics.MARKET_BARS, symbol, _values(part))
        log.info("symbol imported", symbol=symbol, out_of_order=self._stats.late - late)

    def _choose(self, items: Iterator[SymbolItem]) -> Iterator[SymbolItem]:
        """All rows but those of the future."""
        end = market_time_end() * 1_000
        for symbol, item in items:
            if self._stop.is_set():
                raise Interrupted("stopped on request before all was read")
            if isinstance(item, ValidBlock) and item.us.max() < end:
                self._stats.taken += len(item)
                yield symbol, item
                continue
            for row in single_rows([item]):
                if row.us >= end:
                    self._refuse(_of_the_future(symbol, row))
                else:
                    self._stats.taken += 1
                    yield symbol, row

    def _publish(self, topic: str, symbol: str, values: list[bytes]) -> None:
        self._publisher.send_all(topic, series_key(self._files.exchange, symbol), values, self._on_delivered)
        self._count_acknowledged()

    def _count_acknowledged(self) -> None:
        self._stats.bars = max(self._stats.bars, self._publisher.acknowledged(topics.MARKET_BARS))
        self._stats.trades = max(self._stats.trades, self._publisher.acknowledged(topics.MARKET_TRADES))

    def _publish_trades(self, symbol: str, items: Iterator[SourceItem]) -> None:
        """Publish the trades, the bars that they make, and the gaps that their ids show."""
        finder, order = TradeGapFinder(), TradeOrder()
        bars = TradeBars(self._files.exchange, symbol, self._files.interval)
        for part in in_parts(items, ROWS_TOGETHER):
            trades = order.trades_of(part)
            self._publish(topics.MARKET_TRADES, symbol, encode_all(trades))
            if isinstance(part, ValidTrades):
                finder.add_all(part.id_numbers, part.ts)
                closed = bars.add(part.ts, part.price, part.amount)
            else:
                for trade in trades:
                    finder.add(trade)
                closed = bars.add_trades(trades)
            self._publish(topics.MARKET_BARS, symbol, encode_all(closed))
        self._publish(topics.MARKET_BARS, symbol, encode_all(bars.end()))
        self._publish_gaps(symbol, finder)

    def _publish_gaps(self, symbol: str, finder: TradeGapFinder) -> None:
        finder.exclude(self._refused_ids.pop(symbol, set()))
        gaps = finder.gaps(self._files.exchange, symbol, "open")
        for gap in gaps:
            self._publisher.send(
                topics.MARKET_INGEST, series_key(gap.exchange, symbol), encode(gap), self._on_delivered
            )
        self._stats.missing += finder.missing
        self._stats.gaps += len(gaps)
        if gaps:
            log.warning("trades missing", symbol=symbol, trades=finder.missing, gaps=len(gaps), ids=gaps[0].ids)

    def _refuse(self, row: InvalidRow) -> None:
        refusals = self._stats.refusals
        refusals.add(row.symbol, row.place.rpartition(":")[0], row.place, row.reason, row.payload)
        if is_counting_id(row.id) and self._kept_ids < REFUSED_IDS_MAX:
            self._refused_ids.setdefault(row.symbol, set()).add(int(row.id))
            self._kept_ids += 1
        if refusals.is_full:
            self._publish_refusals()

    def _refuse_conflict(self, symbol: str, row: InvalidRow) -> None:
        """A row that was valid by itself."""
        self._stats.taken -= 1
        self._refuse(row._replace(symbol=symbol))

    def _publish_refusals(self) -> None:
        exchange = self._files.exchange
        for refusal in self._stats.refusals.take():
            self._publisher.send(
                topics.MARKET_INGEST,
                series_key(exchange, refusal.symbol),
                encode(refusal.record(self._feed, exchange)),
                self._on_delivered,
            )


def _values(part: Part) -> list[bytes]:
    return part.values() if isinstance(part, ValidBlock) else [row.value for row in part]


def _of_the_future(symbol: str, row: SourceRow) -> InvalidRow:
    reason = f"ts: got {row.us // 1_000} ms, expected a time up to the end of next year"
    return InvalidRow(row.place, reason, row.value.decode(), symbol=symbol)


def _ignore() -> None:
    return
