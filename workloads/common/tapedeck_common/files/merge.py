"""All bars or trades of a source in the one order, strictly: what is played must be sound from end to end."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from tapedeck_common.files.build import bars_from_trades
from tapedeck_common.files.keys import Key, bar_key, shown, trade_key
from tapedeck_common.files.read import Event, Row, read_bars, read_trades
from tapedeck_common.files.source import BadFiles, BadRow, SourceFile, find_files
from tapedeck_common.market import Bar, Trade, order_key
from tapedeck_crds.base import INTERVAL_MS, Files

RUN_OF_COARSER = 24


def merged_bars(files: Files, root: Path, credentials: Path | None = None) -> Iterator[Bar]:
    """The bars of all symbols by ``order_key``; one row a symbol is in memory (of Parquet a batch).

    Raises FilesUnavailable for URLs, and BadFiles, naming place, value and expectation: at once where files are
    missing, and on reaching it for a broken row, one that repeats another's time, or one out of order.
    """
    series = find_files(files, root, credentials)
    return heapq.merge(*(_strict_series(files, sources) for sources in series.values()), key=order_key)


def merged_trades(files: Files, root: Path, credentials: Path | None = None) -> Iterator[Trade]:
    """The trades of all symbols by (time, symbol, id), ids of digits by their value; raises as ``merged_bars`` does."""
    series = find_files(files, root, credentials)
    trades = (_strict_trades(files, sources) for sources in series.values())
    return heapq.merge(*trades, key=lambda trade: (trade.ts, trade.symbol, len(trade.id), trade.id))


def _strict_trades(files: Files, sources: list[SourceFile]) -> Iterator[Trade]:
    return _ascending((row for file in sources for row in read_trades(files, file, _refuse)), trade_key)


def _strict_series(files: Files, sources: list[SourceFile]) -> Iterator[Bar]:
    if files.of_trades:
        return bars_from_trades(_strict_trades(files, sources), files.interval)
    bars = (row for file in sources for row in read_bars(files, file, _refuse))
    return _of_one_interval(_ascending(bars, bar_key), files.interval)


def _of_one_interval(bars: Iterator[Bar], interval: str) -> Iterator[Bar]:
    """The bars; BadFiles where RUN_OF_COARSER of them in a row are as far apart as a longer interval is.

    Single bars may be missing anywhere. So many, and all but each n-th, are bars of another interval.
    """
    coarser = {length: name for name, length in INTERVAL_MS.items() if length > INTERVAL_MS[interval]}
    last, gap, run = -1, 0, 0
    for bar in bars:
        run = run + 1 if bar.ts - last == gap else 1
        gap, last = bar.ts - last, bar.ts
        if run >= RUN_OF_COARSER and gap in coarser:
            raise BadFiles(
                f"interval: got {interval}, expected {coarser[gap]} for {bar.symbol}: the {run} bars up to {bar.ts} "
                f"are {coarser[gap]} apart, so these files hold other or mixed intervals"
            )
        yield bar


def _ascending(rows: Iterable[Row[Event]], key_of: Callable[[Event], Key]) -> Iterator[Event]:
    last: Key | None = None
    last_place = ""
    for place, event in rows:
        key = key_of(event)
        if last is not None and key <= last:
            what = "repeats that of" if key == last else f"is earlier than {shown(last)} at"
            raise BadFiles(f"{place}: ts: {shown(key)} {what} {last_place}; expected each row once, in order of time")
        last, last_place = key, place
        yield event


def _refuse(bad: BadRow) -> NoReturn:
    raise BadFiles(f"{bad.place}: {bad.reason}; the row: {bad.payload[:200]}")
