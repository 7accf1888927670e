"""Exchanges, symbols, and how whole their series are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import DAY_MS
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.market import ExchangeList, SeriesCoverage, SymbolPage
from tapedeck_gateway.context import Database
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.recorded import limit_of, recorded_markets
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import (
    DEFAULT_ROWS,
    CursorText,
    ExchangeText,
    Length,
    Limit,
    Range,
    Symbol,
    now_ms,
)
from tapedeck_gateway.store import catalogue, coverage, symbol_pages
from tapedeck_gateway.store.bar_pages import stored_intervals
from tapedeck_gateway.store.symbol_pages import SymbolName

router = APIRouter(prefix=API, tags=["catalogue"])


@reading(router, "/exchanges", ExchangeList)
def exchanges(request: Request, pool: Database) -> Response:
    """The exchanges of the store, with the number of their symbols."""
    return json_answer(request, ExchangeList(symbol_pages.exchange_summaries(pool), None))


@reading(router, "/symbols", SymbolPage)
def symbols_with_series(
    request: Request,
    pool: Database,
    limits: Limits,
    parts: Parts,
    exchange: ExchangeText = "",
    search: Annotated[str, Query(max_length=200, description="Text that exchange:SYMBOL contains.")] = "",
    counts: Annotated[bool, Query(description="1: also count the bars of each series, which reads them all.")] = False,
    limit: Limit = DEFAULT_ROWS,
    cursor: CursorText = "",
) -> Response:
    """Symbols that have bars, trades or tickers, with the spans of these and the sessions of their markets."""
    recorded = recorded_markets(limits, parts, exchange)
    after = SymbolName(*(decode_cursor(cursor, tuple[str, str]) or ("", "")))
    names = symbol_pages.symbol_names(pool, recorded, exchange, search, after, limit)
    found = symbol_pages.stored_symbols(pool, names, limit_of(recorded), counts=counts)
    following = encode_cursor(tuple(names[-1])) if len(names) == limit else None
    return json_answer(request, SymbolPage(found, following), headers=parts.headers)


@reading(router, "/coverage", SeriesCoverage)
def series_coverage(
    request: Request,
    pool: Database,
    limits: Limits,
    symbol: Symbol,
    length: Length,
    span: Range,
    limit: Limit = DEFAULT_ROWS,
    cursor: CursorText = "",
) -> Response:
    """How many bars of each day (UTC) are stored and expected, and the holes, by the market's session.

    Without `from` and `to` those of the series. `limit` is a number of days; a page has at most 10,000 holes, and a day
    that it cuts is in the next one, too.
    """
    if symbol.replay or symbol.series:
        raise InvalidInput(f"symbol: got {str(symbol)!r}, expected a market of the store")
    series = stored_intervals(pool, symbol).get(length.interval)
    if series is None:
        raise NotFound(f"interval: got {length.interval}, expected one of the symbol's that is stored")
    over = length.open_of(min(now_ms(), limits.of_market(symbol.exchange)))
    start = series[0] if span.start is None else length.first_open(span.start)
    end = min(over, length.close_of(series[1]) if span.end is None else span.end)
    place = decode_cursor(cursor, tuple[int])
    first = start if place is None else max(start, place[0])
    last = min(end, (first // DAY_MS + limit) * DAY_MS)
    if first >= last:
        return json_answer(request, SeriesCoverage(str(symbol), length.interval, [], [], None))
    session = catalogue.session(pool, symbol.exchange, symbol.symbol)
    holes = coverage.holes(pool, symbol, length, session, first, last)
    if len(holes) == coverage.HOLES_MAX:  # the page ends with them
        last = holes[-1].end
    answer = SeriesCoverage(
        str(symbol),
        length.interval,
        coverage.day_coverage(pool, symbol, length, session, first, last),
        holes,
        encode_cursor((last,)) if last < end else None,
    )
    return json_answer(request, answer)
