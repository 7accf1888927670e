"""Gaps, and what was refused or lost on the way into the store."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.market import GapPage, IngestErrorPage
from tapedeck_gateway.context import Database
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.recorded import recorded_markets
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import DEFAULT_ROWS, CursorText, ExchangeText, Limit, Range, TimeRange
from tapedeck_gateway.store import quality
from tapedeck_gateway.topics.control_records import LATEST

router = APIRouter(prefix=API, tags=["quality"])


@reading(router, "/gaps", GapPage)
def gaps(
    request: Request,
    pool: Database,
    limits: Limits,
    parts: Parts,
    span: Range,
    exchange: ExchangeText = "",
    name: Annotated[str, Query(max_length=64, description="A symbol of the exchange, such as BTC/USD.")] = "",
    state: Annotated[Literal["", "open", "filled", "unfillable"], Query()] = "",
    limit: Limit = DEFAULT_ROWS,
    cursor: CursorText = "",
) -> Response:
    """Missing bars and trades that overlap a range, by exchange, symbol, interval and time."""
    found = quality.gaps(
        pool,
        recorded_markets(limits, parts, exchange),
        {"exchange": exchange, "symbol": name, "state": state},
        _bounds(span),
        decode_cursor(cursor, tuple[str, str, str, int]),
        limit,
    )
    following = quality.gap_place(found[-1]) if len(found) == limit else None
    return json_answer(request, GapPage(found, encode_cursor(following)), headers=parts.headers)


@reading(router, "/ingest-errors", IngestErrorPage)
def ingest_errors(
    request: Request,
    pool: Database,
    limits: Limits,
    parts: Parts,
    span: Range,
    feed: Annotated[str, Query(max_length=253, description="The name of a Feed.")] = "",
    exchange: ExchangeText = "",
    limit: Limit = DEFAULT_ROWS,
    cursor: CursorText = "",
) -> Response:
    """What was refused or lost, the newest first; `from` and `to` are wall clock."""
    found, following = quality.ingest_errors(
        pool,
        recorded_markets(limits, parts, exchange),
        {"feed": feed, "exchange": exchange},
        _bounds(span),
        decode_cursor(cursor, tuple[int, str, int, int]),
        limit,
    )
    return json_answer(request, IngestErrorPage(found, encode_cursor(following)), headers=parts.headers)


def _bounds(span: TimeRange) -> tuple[int, int]:
    return span.start or 0, LATEST if span.end is None else span.end
