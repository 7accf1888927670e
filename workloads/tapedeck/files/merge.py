"""All bars of a source in the one order, strictly: what is played must be sound from end to end."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeAlias

from tapedeck.files.build import bars_from_trades
from tapedeck.files.read import Event, Row, read_bars, read_trades
from tapedeck.files.source import BadFiles, BadRow, SourceFile, find_files
from tapedeck.market import Bar, Trade, order_key
from tapedeck_crds.base import Files

Key: TypeAlias = tuple[int, int, str]


def merged_bars(files: Files, root: Path) -> Iterator[Bar]:
    """The bars of all symbols by ``order_key``; one row a symbol is in memory.

    Raises BadFiles, naming place, value and expectation: at once where files are missing, and on
    reaching it for a broken row, one that repeats another's time, or one out of order.
    """
    series = find_files(files, root)
    return heapq.merge(*(_strict_series(files, sources) for sources in series.values()), key=order_key)


def _strict_series(files: Files, sources: list[SourceFile]) -> Iterator[Bar]:
    if files.format == "binance-trades":
        trades = (row for file in sources for row in read_trades(files, file, _refuse))
        return bars_from_trades(_ascending(trades, trade_key), files.interval)
    bars = (row for file in sources for row in read_bars(files, file, _refuse))
    return _ascending(bars, bar_key)


def bar_key(bar: Bar) -> Key:
    """What orders the bars of one series and tells them apart."""
    return (bar.ts, 0, "")


def trade_key(trade: Trade) -> Key:
    """What orders the trades of one series and tells them apart: ids of digits go by their value."""
    return (trade.ts, len(trade.id), trade.id)


def _ascending(rows: Iterable[Row[Event]], key_of: Callable[[Event], Key]) -> Iterator[Event]:
    last: Key | None = None
    last_place = ""
    for place, event in rows:
        key = key_of(event)
        if last is not None and key <= last:
            what = "repeats that of" if key == last else f"is earlier than {_shown(last)} at"
            raise BadFiles(f"{place}: {_named(key)} {what} {last_place}; expected each row once, in order of time")
        last, last_place = key, place
        yield event


def _shown(key: Key) -> str:
    ts, _, name = key
    return f"{ts} (id {name})" if name else str(ts)


def _named(key: Key) -> str:
    return f"ts: {_shown(key)}"


def _refuse(bad: BadRow) -> NoReturn:
    raise BadFiles(f"{bad.place}: {bad.reason}; the row: {bad.payload[:200]}")
