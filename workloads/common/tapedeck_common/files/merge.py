"""All bars or trades of a source in order. Strict: an invalid row anywhere is an error."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from tapedeck_common.files.rows import RecordT, Row, RowKey, bar_key, format_key, read_bars, read_trades
from tapedeck_common.files.source_files import InvalidFiles, InvalidRow, SourceFile, find_files
from tapedeck_common.market import Bar, Trade, bars_from_trades, order_key, trade_id_key, trade_key
from tapedeck_crds.base import Files


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
    return _ascending(_strict(partial(read_trades, files, sources)), trade_key)


def _strict_series(files: Files, sources: list[SourceFile]) -> Iterator[Bar]:
    if files.of_trades:
        return bars_from_trades(_strict_trades(files, sources), files.interval)
    return _ascending(_strict(partial(read_bars, files, sources)), bar_key)


def _strict(read: Callable[[Callable[[InvalidRow], None]], Iterator[Row[RecordT]]]) -> Iterator[Row[RecordT]]:
    """All rows. Raises InvalidFiles for the files as a whole, else for the first invalid row."""
    invalid: list[InvalidRow] = []

    def keep_first(row: InvalidRow) -> None:
        if not invalid:
            invalid.append(row)

    yield from read(keep_first)
    for row in invalid:
        raise InvalidFiles(f"{row.place}: {row.reason}; the row: {row.payload[:200]}")


def _ascending(rows: Iterable[Row[RecordT]], key_of: Callable[[RecordT], RowKey]) -> Iterator[RecordT]:
    """The records of rows in order. Raises InvalidFiles after the last row, for the first one out of order."""
    last: RowKey | None = None
    last_place = problem = ""
    for place, record in rows:
        key = key_of(record)
        if last is not None and key <= last and not problem:
            what = "repeats that of" if key == last else f"is earlier than {format_key(last)} at"
            problem = f"{place}: ts: {format_key(key)} {what} {last_place}; expected each row once, in order of time"
        if not problem:
            last, last_place = key, place
            yield record
    if problem:
        raise InvalidFiles(problem)
