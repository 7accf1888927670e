"""What files hold, each row by itself: blocks of valid bars are divided into their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tapedeck_common.files import (
    InvalidRow,
    Row,
    SeriesReader,
    SourceFile,
    SourceItem,
    SourceRow,
    ValidBars,
    ValidTrades,
    read_bars,
    read_trades,
    single_rows,
)
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.session import Session

OnInvalid = Callable[[InvalidRow], None]


def bar_rows(
    files: Files, sources: list[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Bar]]:
    """The bars of files, with their places."""
    for item in read_bars(files, sources, on_invalid, session):
        if isinstance(item, ValidBars):
            yield from map(Row, (item.ts * 1_000).tolist(), item.places(), item.bars())
        elif isinstance(item, Row):
            yield item


def trade_rows(
    files: Files, sources: list[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Trade]]:
    """The trades of files, with their places."""
    for item in read_trades(files, sources, on_invalid, session):
        if isinstance(item, ValidTrades):
            yield from map(Row, item.us.tolist(), item.places(), item.trades())
        elif isinstance(item, Row):
            yield item


def encoded_rows(files: Files, kind: Kind, sources: list[SourceFile], on_invalid: OnInvalid) -> Iterator[SourceRow]:
    """The rows of files as records of the log."""
    return single_rows(encoded_items(files, kind, sources, on_invalid))


def encoded_items(files: Files, kind: Kind, sources: list[SourceFile], on_invalid: OnInvalid) -> Iterator[SourceItem]:
    """As ``encoded_rows``, as columns where an import keeps them so."""
    return (item for _, item in SeriesReader(files, on_invalid).rows(kind, sources))
