"""All bars or trades of a source in order. Strict: an invalid row anywhere is an error."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from tapedeck_common.files.rows import RecordT, Row, RowKey, bar_key, format_key, read_bars, read_trades
from tapedeck_common.files.source_files import InvalidFiles, InvalidRow, SourceFile, find_files
from tapedeck_common.market import Bar, Trade, bars_from_trades, order_key, trade_id_key, trade_key
from tapedeck_crds.base import INTERVAL_MS, Files

COARSER_BARS_MAX = 24  # consecutive bars at the distance of a longer interval


def merged_bars(files: Files, root: Path, credentials: Path | None = None) -> Iterator[Bar]:
    """The bars of all symbols in the order of ``order_key``; memory holds one row of each symbol (of Parquet a batch).

    Raises FilesUnavailable for URLs, and InvalidFiles with place, value and expectation: at once for missing files, and
    on reaching the row for one that is invalid, repeats the time of another, or is out of order.
    """
    series = find_files(files, root, credentials)
    return heapq.merge(*(_strict_series(files, sources) for sources in series.values()), key=order_key)


def merged_trades(files: Files, root: Path, credentials: Path | None = None) -> Iterator[Trade]:
    """The trades of all symbols in the order (time, symbol, id), see ``trade_id_key``; raises as ``merged_bars``."""
    series = find_files(files, root, credentials)
    trades = (_strict_trades(files, sources) for sources in series.values())
    return heapq.merge(*trades, key=lambda trade: (trade.ts, trade.symbol, *trade_id_key(trade.id)))


def _strict_trades(files: Files, sources: list[SourceFile]) -> Iterator[Trade]:
    return _ascending((row for file in sources for row in read_trades(files, file, _reject)), trade_key)


def _strict_series(files: Files, sources: list[SourceFile]) -> Iterator[Bar]:
    if files.of_trades:
        return bars_from_trades(_strict_trades(files, sources), files.interval)
    bars = (row for file in sources for row in read_bars(files, file, _reject))
    return _of_one_interval(_ascending(bars, bar_key), files.interval)


def _of_one_interval(bars: Iterator[Bar], interval: str) -> Iterator[Bar]:
    """The bars. Raises InvalidFiles where COARSER_BARS_MAX consecutive ones are a longer interval apart.

    Single bars may be missing anywhere, but so many bars at a constant distance are bars of another interval.
    """
    coarser = {length: name for name, length in INTERVAL_MS.items() if length > INTERVAL_MS[interval]}
    last, gap, run = -1, 0, 0
    for bar in bars:
        run = run + 1 if bar.ts - last == gap else 1
        gap, last = bar.ts - last, bar.ts
        if run >= COARSER_BARS_MAX and gap in coarser:
            raise InvalidFiles(
                f"interval: got {interval}, expected {coarser[gap]} for {bar.symbol}: the {run} bars up to {bar.ts} "
                f"are {coarser[gap]} apart, so these files hold other or mixed intervals"
            )
        yield bar


def _ascending(rows: Iterable[Row[RecordT]], key_of: Callable[[RecordT], RowKey]) -> Iterator[RecordT]:
    last: RowKey | None = None
    last_place = ""
    for place, record in rows:
        key = key_of(record)
        if last is not None and key <= last:
            what = "repeats that of" if key == last else f"is earlier than {format_key(last)} at"
            raise InvalidFiles(
                f"{place}: ts: {format_key(key)} {what} {last_place}; expected each row once, in order of time"
            )
        last, last_place = key, place
        yield record


def _reject(invalid: InvalidRow) -> NoReturn:
    raise InvalidFiles(f"{invalid.place}: {invalid.reason}; the row: {invalid.payload[:200]}")
