"""Parameters that several routes of /api/v1 share."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple, TypeAlias

from fastapi import Depends, Query

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.intervals import interval_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context
from tapedeck_gateway.topics.control_records import LATEST

LIST_MAX, ROWS_MAX, DEFAULT_ROWS = 10_000, 50_000, 1_000

SymbolText: TypeAlias = Annotated[
    str,
    Query(
        min_length=1, max_length=300, description="A symbol such as coinbase:BTC/USD, or a replay's.",
        openapi_examples={"market": {"value": "coinbase:BTC/USD"}},
    ),
]  # fmt: skip
ExchangeText: TypeAlias = Annotated[str, Query(max_length=64, description="An exchange id; all where it is left out.")]
CursorText: TypeAlias = Annotated[str, Query(max_length=2_000, description="`next` of the page before.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=LIST_MAX, description="Rows of a page.")]
RowLimit: TypeAlias = Annotated[int, Query(ge=1, le=ROWS_MAX, description="Rows of a page of JSON.")]
FormatName: TypeAlias = Literal["json", "csv", "arrow", "parquet"]
Format: TypeAlias = Annotated[
    FormatName | None,
    Query(alias="format", description="The answer's form, before the header Accept; all but JSON have all rows."),
]
_TIME = "Milliseconds UTC, or ISO 8601 (UTC without an offset); eight digits are a date."


class TimeRange(NamedTuple):
    """A range of times in milliseconds UTC, ``start <= ts < end``; None where it is not given."""

    start: int | None
    end: int | None


def parse_moment(name: str, text: str) -> int | None:
    """Milliseconds UTC of a time in a request; None for an empty text. Raises InvalidInput."""
    if not text:
        return None
    try:
        ms = int(text) if _is_ms(text) else _iso_ms(text)
    except (ValueError, OverflowError):
        ms = -1
    if not 0 <= ms <= LATEST:
        raise InvalidInput(
            f"{name}: got {text[:80]!r}, expected milliseconds since 1970 or a time like 2018-04-04T00:00:00Z"
        )
    return ms


def _is_ms(text: str) -> bool:
    """Whether a text is a number of milliseconds. One of four or eight digits is a year, or a date without hyphens."""
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 16 and len(text) not in (4, 8)


def _iso_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)


async def _span(
    start: Annotated[str, Query(alias="from", max_length=40, description=f"The first time. {_TIME}")] = "",
    end: Annotated[str, Query(alias="to", max_length=40, description=f"The time to stop before. {_TIME}")] = "",
) -> TimeRange:
    span = TimeRange(parse_moment("from", start), parse_moment("to", end))
    if span.start is not None and span.end is not None and span.start >= span.end:
        raise InvalidInput(f"from: got {start}, expected a time before to={end}")
    return span


def _symbol(context: Context, symbol: SymbolText) -> ChartSymbol:
    return context.symbols.resolve(symbol)


async def _interval(
    interval: Annotated[
        str,
        Query(
            max_length=20, description="1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w, 1M, or another "
            "number of s, m, h or d, from the bars that are stored.",
        ),
    ] = "1m",
) -> BarLength:  # fmt: skip
    return interval_length(interval)


Range: TypeAlias = Annotated[TimeRange, Depends(_span)]
Symbol: TypeAlias = Annotated[ChartSymbol, Depends(_symbol)]
Length: TypeAlias = Annotated[BarLength, Depends(_interval)]


def now_ms() -> int:
    """The time of the wall clock, milliseconds UTC."""
    return time.time_ns() // 1_000_000
