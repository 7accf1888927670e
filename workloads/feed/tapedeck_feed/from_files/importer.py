"""Imports files: each symbol's rows, sorted and without repeats, as records on the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import Event

from tapedeck_common import topics
from tapedeck_common.files import (
    FilesAccess,
    InvalidRow,
    SourceFile,
    SourceRow,
    count_out_of_order,
    deduplicate,
    encoded_rows,
    external_sort,
    find_files,
    kind_of,
    trades_in_order,
)
from tapedeck_common.logs import log
from tapedeck_common.market import Trade, bars_from_trades, market_time_end, series_key
from tapedeck_common.trade_gaps import TradeGapFinder, is_counting_id
from tapedeck_common.wire import encode
from tapedeck_crds.errors import Interrupted, InvalidInput
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.session import Session
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import MarketDataPublisher

REFUSED_IDS_MAX = 100_000  # of one symbol; further ones are counted as missing, too


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
        self._refused_ids: set[int] = set()  # of the symbol's trades
        self._on_other = publisher.callback(_ignore)

    def run(self) -> None:
        """Publish all.

        Raises InvalidFiles, FilesUnavailable, NoRowTaken, DeliveryFailed, Interrupted, and CannotSort where the
        disk is full.
        """
        series = find_files(self._files, self._access)
        self._stats.total = sum(map(len, series.values()))
        self._stats.symbols = len(series)
        for symbol, sources in series.items():
            self._import_symbol(symbol, sources)
            self._publish_refusals()
            self._publisher.flush()
            self._stats.done += len(sources)
        if not self._stats.taken:
            raise NoRowTaken(f"no row was taken: {self._stats.refused_summary() or 'the files hold none'}")

    def _import_symbol(self, symbol: str, sources: list[SourceFile]) -> None:
        late = self._stats.late
        self._refused_ids.clear()
        kind = kind_of(self._files, sources)
        rows = count_out_of_order(
            self._read(kind, sources, partial(self._refuse, symbol)), partial(self._stats.count, "late")
        )
        on_conflict = partial(self._refuse_conflict, symbol)
        unique = deduplicate(external_sort(rows), partial(self._stats.count, "duplicates"), on_conflict)
        if kind == "trades":
            self._publish_trades(symbol, unique)
        else:
            self._publish_bars(series_key(self._files.exchange, symbol), (row.value for row in unique))
        log.info("symbol imported", symbol=symbol, files=len(sources), out_of_order=self._stats.late - late)

    def _read(
        self, kind: Kind, sources: list[SourceFile], on_invalid: Callable[[InvalidRow], None]
    ) -> Iterator[SourceRow]:
        end = market_time_end()
        for row in encoded_rows(self._files, kind, sources, on_invalid, self._session):
            if self._stop.is_set():
                raise Interrupted("stopped on request before all was read")
            if row.us >= end * 1_000:
                reason = f"ts: got {row.us // 1_000} ms, expected a time up to the end of next year"
                on_invalid(InvalidRow(row.place, reason, row.value.decode()))
                continue
            self._stats.taken += 1
            yield row

    def _publish_bars(self, key: str, values: Iterable[bytes]) -> None:
        callback = self._publisher.callback(partial(self._stats.count, "bars"))
        for value in values:
            self._publisher.send(topics.MARKET_BARS, key, value, callback)

    def _publish_trades(self, symbol: str, rows: Iterator[SourceRow]) -> None:
        """Publish the trades, the bars that they make, and the gaps that their ids show."""
        key = series_key(self._files.exchange, symbol)
        callback = self._publisher.callback(partial(self._stats.count, "trades"))

        finder = TradeGapFinder()

        def published() -> Iterator[Trade]:
            for trade in trades_in_order(rows):
                self._publisher.send(topics.MARKET_TRADES, key, encode(trade), callback)
                finder.add(trade)
                yield trade

        self._publish_bars(key, map(encode, bars_from_trades(published(), self._files.interval)))
        self._publish_gaps(symbol, finder)

    def _publish_gaps(self, symbol: str, finder: TradeGapFinder) -> None:
        finder.exclude(self._refused_ids)
        gaps = finder.gaps(self._files.exchange, symbol, "open")
        for gap in gaps:
            self._publisher.send(topics.MARKET_INGEST, series_key(gap.exchange, symbol), encode(gap), self._on_other)
        self._stats.missing += finder.missing
        self._stats.gaps += len(gaps)
        if gaps:
            log.warning("trades missing", symbol=symbol, trades=finder.missing, gaps=len(gaps), ids=gaps[0].ids)

    def _refuse(self, symbol: str, row: InvalidRow) -> None:
        refusals = self._stats.refusals
        refusals.add(symbol, row.place.rpartition(":")[0], row.place, row.reason, row.payload)
        if is_counting_id(row.id) and len(self._refused_ids) < REFUSED_IDS_MAX:
            self._refused_ids.add(int(row.id))
        if refusals.is_full:
            self._publish_refusals()

    def _refuse_conflict(self, symbol: str, row: InvalidRow) -> None:
        """A row that was valid by itself."""
        self._stats.taken -= 1
        self._refuse(symbol, row)

    def _publish_refusals(self) -> None:
        exchange = self._files.exchange
        for refusal in self._stats.refusals.take():
            self._publisher.send(
                topics.MARKET_INGEST,
                series_key(exchange, refusal.symbol),
                encode(refusal.record(self._feed, exchange)),
                self._on_other,
            )


def _ignore() -> None:
    return
