"""/quotes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import InvalidInput, NotFound, TapedeckError
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.json import Json
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.partial_response import PartialResponse, Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.udf.answers import udf_router
from tapedeck_gateway.routes.udf.series import open_series
from tapedeck_gateway.routes.udf.symbols import description
from tapedeck_gateway.store.ticks import StoredTicker, last_ticker

router = udf_router()
SYMBOLS_MAX = 500
TEXT_MAX = 40_000  # characters of all symbols
_DAY = BAR_LENGTHS["1d"]


@router.get("/quotes")
def quotes(
    context: Context, limits: Limits, parts: Parts, symbols: Annotated[str, Query(max_length=TEXT_MAX)]
) -> Response:
    """The last price of each symbol, its day so far, and the change since the day before: up to the running bar.

    A symbol that is not found, and each beyond the first SYMBOLS_MAX, has an error in place of its values. A comma of a
    symbol is written as %2C: clients of UDF encode those between the symbols, too.
    """
    names = [name.replace("%2C", ",") for name in symbols.split(",") if name]
    if not names:
        raise InvalidInput("symbols: got none, expected some, separated by commas")
    said = f"symbols: got {len(names)}, expected {SYMBOLS_MAX} at most in a request"
    quoted = [_quote(context, limits, parts, name) for name in names[:SYMBOLS_MAX]]
    return json_response({"s": "ok", "d": [*quoted, *(_error(name, said) for name in names[SYMBOLS_MAX:])]}, parts)


def _quote(context: GatewayContext, limits: FutureLimits, parts: PartialResponse, name: str) -> Json:
    """The quote of one symbol under the name that it was asked by, or its error."""
    try:
        return {"s": "ok", "n": name, "v": _values(context, limits, parts, context.symbols.resolve(name))}
    except TapedeckError as error:
        return _error(name, str(error))


def _error(name: str, said: str) -> Json:
    return {"s": "error", "n": name, "errmsg": said, "v": {}}


def _values(context: GatewayContext, limits: FutureLimits, parts: PartialResponse, symbol: ChartSymbol) -> Json:
    series = open_series(context, limits, parts, symbol)
    length = _DAY if series.source(_DAY) is not None else series.sampled
    days = series.bars_of(length).last(length, series.now + 1, 2)
    if not days:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with prices up to now")
    day = days[-1]
    before = days[0].close if len(days) > 1 else day.open
    ticker = _ticker(context, symbol, series.now, day.ts)
    spread = {} if ticker is None else {name: ticker[name] for name in ("bid", "ask") if ticker[name] is not None}
    return {
        "short_name": symbol.display_name,
        "original_name": str(symbol),
        "exchange": symbol.exchange,
        "description": description(symbol),
        "lp": day.close,
        "ch": day.close - before,
        "chp": (day.close / before - 1) * 100 if before else 0.0,
        "open_price": day.open,
        "high_price": day.high,
        "low_price": day.low,
        "prev_close_price": before,
        "volume": day.volume,
        **spread,
    }


def _ticker(context: GatewayContext, symbol: ChartSymbol, now: int, since: int) -> StoredTicker | None:
    """The last ticker of a stored market, if it is of the day that the quote shows."""
    if symbol.replay or symbol.series or symbol.exchange.startswith(RECORDED_PREFIX):
        return None
    found = last_ticker(context.pool, symbol, now)
    return found if found is not None and found["ts"] >= since else None
