"""Bars, trades, tickers and results of transforms: JSON in pages, or the whole range as a table."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from msgspec import UNSET

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import DAY_MS
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.market import (
    BarPage,
    BarRow,
    PointPage,
    PointRow,
    TickerPage,
    TickerRow,
    TradePage,
    TradeRow,
)
from tapedeck_gateway.charts.resolutions import bases_for
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, Database, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.v1.answers import IMMUTABLE, REVALIDATED, json_answer
from tapedeck_gateway.routes.v1.cursors import encode_cursor
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import Length, Range, Symbol, TimeRange, now_ms
from tapedeck_gateway.routes.v1.series import ChosenBars, PlayedBars, bars_of, replay_points, replay_trades
from tapedeck_gateway.routes.v1.table_formats import plain_values
from tapedeck_gateway.routes.v1.table_requests import Rows
from tapedeck_gateway.store import points
from tapedeck_gateway.store.bar_pages import BarRange, stored_intervals
from tapedeck_gateway.store.page import Page, PageLoader, Place
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.record_pages import RecordRange

router = APIRouter(prefix=API, tags=["market"])
SETTLED_MS = DAY_MS  # after which late trades correct no bar


@reading(router, "/bars", BarPage, tables=True, cached=True)
def bars(
    request: Request,
    context: Context,
    limits: Limits,
    parts: Parts,
    symbol: Symbol,
    length: Length,
    span: Range,
    asked: Rows,
) -> Response:
    """Closed bars of any interval: the stored ones, and where these have a hole, bars that are made of shorter ones."""
    if asked.is_file:
        parts.require_whole()
    chosen = bars_of(context, limits, parts, symbol, length, span)
    if (file := asked.file("bars", BarRow, chosen.page)) is not None:
        return file
    page = asked.page(tuple[int], chosen.page)
    rows = list(map(BarRow, *map(plain_values, page.columns))) if page.columns else []
    cache = _cache_of(context.pool, symbol, chosen, span, asked.place(tuple[int]), rows, page)
    progress = chosen.progress if isinstance(chosen, PlayedBars) else UNSET
    answer = BarPage(str(symbol), length.interval, rows, encode_cursor(page.next), progress)
    return json_answer(request, answer, cache, parts.headers)


@reading(router, "/trades", TradePage, tables=True, cached=True)
def trades(context: Context, limits: Limits, symbol: Symbol, span: Range, asked: Rows) -> Response:
    """Trades in order, of the store or of a replay of trades."""
    if symbol.replay and not symbol.series:
        load = replay_trades(context, symbol, span)
    else:
        load = _records(context.pool, limits, _market(symbol), span).trades
    page_of = partial(TradePage, str(symbol))
    return asked.answer("trades", TradeRow, tuple[int, int, str], load, page_of, _cache_of_records(symbol, span))


@reading(router, "/tickers", TickerPage, tables=True, cached=True)
def tickers(pool: Database, limits: Limits, symbol: Symbol, span: Range, asked: Rows) -> Response:
    """Stored tickers in order."""
    chosen = _records(pool, limits, _market(symbol), span)
    page_of = partial(TickerPage, str(symbol))
    return asked.answer(
        "tickers", TickerRow, tuple[int], chosen.tickers, page_of, cache=_cache_of_records(symbol, span)
    )


@reading(router, "/points", PointPage, tables=True, cached=True)
def transform_points(
    context: Context,
    limits: Limits,
    symbol: Symbol,
    span: Range,
    asked: Rows,
    series: Annotated[str, Query(max_length=40, description="The transform's name, where the symbol lacks it.")] = "",
    interval: Annotated[
        str | None,
        Query(max_length=3, description="That of the results, empty for those of trades; by default the finest."),
    ] = None,
) -> Response:
    """Results of a transform in order, of the store or of a replay."""
    of = ChartSymbol(symbol.exchange, symbol.symbol, symbol.replay, symbol.series or series)
    if not of.series:
        raise InvalidInput(f"series: got none with {str(symbol)!r}, expected the name of a transform")
    length, load = _points(context, limits, of, span, interval)
    page_of = partial(PointPage, str(of), of.series, length)
    return asked.answer("points", PointRow, tuple[int, int, str], load, page_of, _cache_of_records(of, span))


def _market(symbol: ChartSymbol) -> ChartSymbol:
    if symbol.replay or symbol.series:
        raise InvalidInput(f"symbol: got {str(symbol)!r}, expected a market of the store")
    return symbol


def _records(pool: Pool, limits: FutureLimits, symbol: ChartSymbol, span: TimeRange) -> RecordRange:
    end = span.end if span.end is not None else now_ms() + 1
    return RecordRange(pool, symbol, span.start or 0, end, limits.of_market(symbol.exchange))


def _points(
    context: GatewayContext, limits: FutureLimits, symbol: ChartSymbol, span: TimeRange, interval: str | None
) -> tuple[str, PageLoader]:
    """The interval of the results, and what loads their pages."""
    if symbol.replay:
        return replay_points(context, symbol, span, interval)
    chosen = points.chosen_interval(symbol, points.intervals_of(context.pool, symbol), interval)
    records = _records(context.pool, limits, symbol, span)

    def load(place: Place | None, limit: int) -> Page:
        return records.points(chosen, place, limit)

    return chosen, load


def _cache_of_records(symbol: ChartSymbol, span: TimeRange) -> str:
    """How a page of records may be kept: one whose range is long over, with a question whether more were imported."""
    if symbol.replay or symbol.exchange.startswith(RECORDED_PREFIX):
        return ""
    return REVALIDATED if span.end is not None and span.end <= now_ms() - SETTLED_MS else ""


def _cache_of(
    pool: Pool,
    symbol: ChartSymbol,
    chosen: ChosenBars,
    span: TimeRange,
    place: Place | None,
    rows: list[BarRow],
    page: Page,
) -> str:
    """How a page after a place may be kept: for a while where its range is long over, and no bar can come into it.

    Of several stored series a longer bar may come in the place of one that is made of shorter ones.
    """
    if isinstance(chosen, PlayedBars) or symbol.exchange.startswith(RECORDED_PREFIX):
        return ""
    if span.end is None or not rows or span.end > min(_newest_open(pool, symbol, chosen), now_ms() - SETTLED_MS):
        return ""
    if span.start is None or not isinstance(chosen, BarRange):
        return REVALIDATED
    length = chosen.length
    first = length.first_open(span.start) if place is None else length.close_of(int(place[0]))
    last = length.open_of(length.first_open(span.end) - 1) if page.next is None else int(page.next[0])
    is_whole = len(rows) == length.number(last) - length.number(first) + 1
    return IMMUTABLE if is_whole else REVALIDATED


def _newest_open(pool: Pool, symbol: ChartSymbol, chosen: ChosenBars) -> int:
    """The open of the newest stored bar that the bars may be made of."""
    series = stored_intervals(pool, symbol)
    return max(series[base.interval][1] for base in bases_for(series, chosen.length))
