"""TradingView's UDF protocol: configuration, symbols, search and history. Times are seconds UTC.

The protocol: https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF/
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BarLength
from tapedeck_crds.json import Json
from tapedeck_crds.session import ALWAYS_OPEN
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import (
    CHART_RESOLUTIONS,
    is_shown_with,
    resolution_length,
    resolutions_of,
)
from tapedeck_gateway.charts.symbols import ChartSymbol, parse_symbol, udf_session
from tapedeck_gateway.context import Context, Database, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.history import MAX_BARS, BarHistory, ReplayBarHistory, ReplayPointHistory, StoredBarHistory
from tapedeck_gateway.partial_response import PartialResponse, Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.store import bars, catalogue, points
from tapedeck_gateway.store.pool import Pool

router = APIRouter()
MAX_SECONDS = 253_402_300_799  # the end of the year 9999
MAX_DECIMALS = 15  # a double has no more
SAMPLED_BARS = 200  # their prices determine the number of decimals
Text: TypeAlias = Annotated[str, Query(max_length=200)]
Seconds: TypeAlias = Annotated[int, Query(ge=0, le=MAX_SECONDS)]


@router.get("/config")
def config(pool: Database, parts: Parts) -> Json:
    exchanges = sorted({exchange for exchange, _ in parts.load("database", lambda: bars.stored_series(pool))})
    return {
        "supports_search": True,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_time": True,
        "supported_resolutions": list(CHART_RESOLUTIONS),
        "exchanges": [{"value": "", "name": "All", "desc": "All exchanges"}]
        + [{"value": name, "name": name, "desc": name} for name in exchanges],
        "symbols_types": [{"name": "crypto", "value": "crypto"}],
    }


@router.get("/time", response_class=PlainTextResponse)
def server_time() -> str:
    return str(int(time.time()))


@router.get("/symbols")
def symbol_info(context: Context, limits: Limits, parts: Parts, symbol: Text) -> Json:
    parsed = parse_symbol(symbol)
    source, base = _history_of(context, limits, parts, parsed)
    of_market = not parsed.replay and not parsed.series
    step = catalogue.price_step(context.pool, parsed.exchange, parsed.symbol) if of_market else None
    sessions = parts.load("database", lambda: [catalogue.session(context.pool, parsed.exchange, parsed.symbol)])
    session = sessions[0] if sessions else ALWAYS_OPEN
    recent = [] if step else source.last(base, MAX_SECONDS * 1000, SAMPLED_BARS)
    minmov, pricescale = price_format(step) if step else (1, 10 ** _decimals(recent))
    return {
        "name": parsed.display_name,
        "full_name": str(parsed),
        "ticker": str(parsed),
        "description": _description(parsed),
        "type": "crypto",
        "session": udf_session(session),
        "timezone": "Etc/UTC" if session.timezone == "UTC" else session.timezone,
        "exchange": parsed.exchange,
        "listed_exchange": parsed.exchange,
        "minmov": minmov,
        "pricescale": pricescale,
        "has_intraday": True,
        "has_daily": True,
        "has_weekly_and_monthly": True,
        "intraday_multipliers": [r for r in resolutions_of(base) if r.isdigit()],
        "supported_resolutions": resolutions_of(base),
        "volume_precision": 8,
        "data_status": "streaming",
        "format": "price",
    }


@router.get("/search")
def search(
    context: Context,
    parts: Parts,
    query: Text = "",
    type_: Annotated[str, Query(alias="type", max_length=50)] = "",
    exchange: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> list[Json]:
    """Symbols of stored series and replays that contain ``query``; with an @ in it, results of transforms."""
    text = query.lower()
    transformed = "@" in text
    stored = parts.load("database", lambda: _stored_symbols(context.pool, transformed))
    replays = parts.load("broker", context.replays.load)
    parts.require_any()
    symbols = [
        *stored,
        *(
            ChartSymbol(replay.exchange, symbol, replay.uid, series)
            for replay in replays
            for symbol in replay.symbols
            for series in ("", *(replay.transforms if transformed else ()))
        ),
    ]
    found = [
        symbol
        for symbol in symbols
        if text in str(symbol).lower() and exchange in ("", symbol.exchange) and type_ in ("", "crypto")
    ]
    return [
        {
            "symbol": symbol.display_name,
            "full_name": str(symbol),
            "ticker": str(symbol),
            "description": _description(symbol),
            "exchange": symbol.exchange,
            "type": "crypto",
        }
        for symbol in found[:limit]
    ]


@router.get("/history")
def history(
    context: Context,
    limits: Limits,
    parts: Parts,
    symbol: Text,
    resolution: Annotated[str, Query(max_length=20)],
    to: Seconds,
    from_: Annotated[int, Query(alias="from", ge=0, le=MAX_SECONDS)] = 0,
    countback: Annotated[int | None, Query(ge=1, le=MAX_BARS)] = None,
) -> Json:
    """Closed bars with open in [from, to), or the last ``countback`` that open before ``to``."""
    parsed, length = parse_symbol(symbol), resolution_length(resolution)
    if countback is None and from_ >= to:
        raise InvalidInput(f"from: got {from_}, expected a time before to={to}")
    source, base = _history_of(context, limits, parts, parsed)
    if not is_shown_with(length, base):
        raise InvalidInput(f"resolution: got {resolution!r}, expected one of {', '.join(resolutions_of(base))}")
    if countback is not None:
        found = source.last(length, to * 1000, countback)
    else:
        found = source.between(length, from_ * 1000, to * 1000, MAX_BARS)
    if not found:
        before = source.last_open_before(length, from_ * 1000) if countback is None else None
        return {"s": "no_data"} | ({} if before is None else {"nextTime": before // 1000})
    return {
        "s": "ok",
        "t": [bar.ts // 1000 for bar in found],
        "o": [bar.open for bar in found],
        "h": [bar.high for bar in found],
        "l": [bar.low for bar in found],
        "c": [bar.close for bar in found],
        "v": [bar.volume for bar in found],
    }


def _history_of(
    context: GatewayContext, limits: FutureLimits, parts: PartialResponse, symbol: ChartSymbol
) -> tuple[BarHistory, BarLength]:
    """The history of a symbol, and the length of its finest bars. Raises NotFound, Unavailable."""
    pool, now = context.pool, min(int(time.time() * 1000), limits.of_market(symbol.exchange))
    if symbol.replay:
        view = context.reader.caught_up_view(symbol)
        if symbol.series:
            results = context.reader.caught_up_points(symbol)
            interval = points.finest(results.intervals_of(symbol))
            if interval is None:
                raise NotFound(f"symbol: got {str(symbol)!r}, expected one with results of the replay's transforms")
            return ReplayPointHistory(symbol, view, results, interval), points.base_of(interval)
        return ReplayBarHistory(pool, symbol, view, parts), view.length
    if symbol.series:
        interval = points.interval_of(pool, symbol)
        if interval is None:
            raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored results of a transform")
        return points.PointHistory(pool, symbol, interval, now), points.base_of(interval)
    base = bars.base_of(pool, symbol)
    return StoredBarHistory(pool, symbol, now, base), base


def _stored_symbols(pool: Pool, transformed: bool) -> list[ChartSymbol]:
    of_market = [ChartSymbol(*series) for series in bars.stored_series(pool)]
    return [*of_market, *points.stored_series(pool)] if transformed else of_market


def _description(symbol: ChartSymbol) -> str:
    return f"{symbol.display_name} on {symbol.exchange}" + (f", replay {symbol.replay}" if symbol.replay else "")


def price_format(step: float) -> tuple[int, int]:
    """UDF's (minmov, pricescale), whose quotient is the smallest change of a price: 0.05 is (5, 100)."""
    digits = Decimal(repr(step)).normalize().as_tuple()
    exponent = digits.exponent if isinstance(digits.exponent, int) else 0
    minmov = int("".join(map(str, digits.digits)))
    return (minmov * 10**exponent, 1) if exponent >= 0 else (minmov, 10**-exponent)


def _decimals(recent: list[Candle]) -> int:
    """The number of decimals that recent prices use, at least 2."""
    # Ten significant digits: more are the noise of arithmetic.
    exponents = [Decimal(f"{price:.10g}").normalize().as_tuple().exponent for bar in recent for price in bar.prices]
    return min(MAX_DECIMALS, max([2, *(-exponent for exponent in exponents if isinstance(exponent, int))]))
