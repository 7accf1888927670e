"""One run: the files of each symbol, in order and without repeats, onto the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

from tapedeck_common import topics
from tapedeck_common.files import (
    BadRow,
    SourceFile,
    bar_key,
    bars_from_trades,
    find_files,
    read_bars,
    read_trades,
    trade_key,
)
from tapedeck_common.logs import log
from tapedeck_common.market import Trade, series_key
from tapedeck_common.records import IngestError
from tapedeck_common.wire import decode_trade, encode
from tapedeck_crds.base import Files
from tapedeck_crds.errors import Interrupted
from tapedeck_feed.from_files.dedupe import Entry, distinct, watch_order
from tapedeck_feed.from_files.external_sort import in_order
from tapedeck_feed.from_files.stats import Tally
from tapedeck_feed.output.publisher import Publisher

PAYLOAD_MAX = 500  # characters of a refused row that are kept


class Run:
    """Brings files in; a second run over the same files adds nothing to a store that knows them."""

    def __init__(self, feed: str, files: Files, root: Path, publisher: Publisher, tally: Tally, stop: Event) -> None:
        self._feed = feed
        self._files = files
        self._root = root
        self._publisher = publisher
        self._tally = tally
        self._stop = stop

    def execute(self) -> None:
        """Publish all. Raises BadFiles, Undelivered, Interrupted, and sqlite3.Error where no disk is left."""
        series = find_files(self._files, self._root)
        self._tally.total = sum(map(len, series.values()))
        self._tally.symbols = len(series)
        for symbol, sources in series.items():
            self._bring(symbol, sources)
            self._publisher.drain()
            self._tally.done += len(sources)

    def _bring(self, symbol: str, sources: list[SourceFile]) -> None:
        late = self._tally.late
        refuse = partial(self._refuse, symbol)
        ordered = in_order(watch_order(self._entries(sources, refuse), partial(self._tally.count, "late")))
        entries = distinct(ordered, partial(self._tally.count, "duplicates"), refuse)
        key = series_key(self._files.exchange, symbol)
        if self._files.of_trades:
            self._send_trades(key, entries)
        else:
            self._send_bars(key, (entry.value for entry in entries))
        log.info("series read", symbol=symbol, files=len(sources), put_in_order=self._tally.late - late)

    def _entries(self, sources: list[SourceFile], refuse: Callable[[BadRow], None]) -> Iterator[Entry]:
        for source in sources:
            for entry in self._entries_of(source, refuse):
                if self._stop.is_set():
                    raise Interrupted("asked to end before all was read")
                yield entry

    def _entries_of(self, source: SourceFile, refuse: Callable[[BadRow], None]) -> Iterator[Entry]:
        if self._files.of_trades:
            trades = read_trades(self._files, source, refuse)
            return (Entry(trade_key(trade), place, encode(trade)) for place, trade in trades)
        bars = read_bars(self._files, source, refuse)
        return (Entry(bar_key(bar), place, encode(bar)) for place, bar in bars)

    def _send_bars(self, key: str, values: Iterable[bytes]) -> None:
        count = self._publisher.delivery(partial(self._tally.count, "bars"))
        for value in values:
            self._publisher.send(topics.MARKET_BARS, key, value, count)

    def _send_trades(self, key: str, entries: Iterable[Entry]) -> None:
        count = self._publisher.delivery(partial(self._tally.count, "trades"))

        def sent() -> Iterator[Trade]:
            for entry in entries:
                self._publisher.send(topics.MARKET_TRADES, key, entry.value, count)
                yield decode_trade(entry.value)

        self._send_bars(key, map(encode, bars_from_trades(sent(), self._files.interval)))

    def _refuse(self, symbol: str, bad: BadRow) -> None:
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
        count = self._publisher.delivery(partial(self._tally.count, "errors"))
        self._publisher.send(topics.MARKET_INGEST, key, encode(error), count)
