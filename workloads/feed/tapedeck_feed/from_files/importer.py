"""Imports files: each symbol's rows, sorted and without repeats, as records on the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

from tapedeck_common import topics
from tapedeck_common.files import (
    InvalidRow,
    SourceFile,
    SourceRow,
    count_out_of_order,
    deduplicate,
    encoded_rows,
    external_sort,
    find_files,
    trades_in_order,
)
from tapedeck_common.logs import log
from tapedeck_common.market import Trade, bars_from_trades, series_key
from tapedeck_common.records import IngestError
from tapedeck_common.wire import encode
from tapedeck_crds.base import Files
from tapedeck_crds.errors import Interrupted
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import MarketDataPublisher

PAYLOAD_MAX = 500  # characters of an invalid row that are kept


class FileImporter:
    """Imports the files of a Feed. A second import of the same files publishes them again; the store does not change.

    ``root`` is the folder that the files' paths are relative to.
    """

    def __init__(
        self,
        feed: str,
        files: Files,
        root: Path,
        publisher: MarketDataPublisher,
        stats: ImportStats,
        stop: Event,
    ) -> None:
        self._feed = feed
        self._files = files
        self._root = root
        self._publisher = publisher
        self._stats = stats
        self._stop = stop

    def run(self) -> None:
        """Publish all. Raises BadFiles, DeliveryFailed, Interrupted, and sqlite3.Error where the disk is full."""
        series = find_files(self._files, self._root)
        self._stats.total = sum(map(len, series.values()))
        self._stats.symbols = len(series)
        for symbol, sources in series.items():
            self._import_symbol(symbol, sources)
            self._publisher.flush()
            self._stats.done += len(sources)

    def _import_symbol(self, symbol: str, sources: list[SourceFile]) -> None:
        late = self._stats.late
        on_invalid = partial(self._publish_error, symbol)
        rows = count_out_of_order(self._read(sources, on_invalid), partial(self._stats.count, "late"))
        unique = deduplicate(external_sort(rows), partial(self._stats.count, "duplicates"), on_invalid)
        key = series_key(self._files.exchange, symbol)
        if self._files.of_trades:
            self._publish_trades(key, unique)
        else:
            self._publish_bars(key, (row.value for row in unique))
        log.info("symbol imported", symbol=symbol, files=len(sources), out_of_order=self._stats.late - late)

    def _read(self, sources: list[SourceFile], on_invalid: Callable[[InvalidRow], None]) -> Iterator[SourceRow]:
        for row in encoded_rows(self._files, sources, on_invalid):
            if self._stop.is_set():
                raise Interrupted("stopped on request before all was read")
            yield row

    def _publish_bars(self, key: str, values: Iterable[bytes]) -> None:
        callback = self._publisher.callback(partial(self._stats.count, "bars"))
        for value in values:
            self._publisher.send(topics.MARKET_BARS, key, value, callback)

    def _publish_trades(self, key: str, rows: Iterator[SourceRow]) -> None:
        """Publish the trades and the bars that they make."""
        callback = self._publisher.callback(partial(self._stats.count, "trades"))

        def published() -> Iterator[Trade]:
            for trade in trades_in_order(rows):
                self._publisher.send(topics.MARKET_TRADES, key, encode(trade), callback)
                yield trade

        self._publish_bars(key, map(encode, bars_from_trades(published(), self._files.interval)))

    def _publish_error(self, symbol: str, bad: InvalidRow) -> None:
        error = IngestError(
            feed=self._feed,
            exchange=self._files.exchange,
            symbol=symbol,
            place=bad.place,
            reason=bad.reason,
            payload=bad.payload[:PAYLOAD_MAX],
            at=time.time_ns() // 1_000_000,
        )
        key = series_key(self._files.exchange, symbol)
        callback = self._publisher.callback(partial(self._stats.count, "errors"))
        self._publisher.send(topics.MARKET_INGEST, key, encode(error), callback)
