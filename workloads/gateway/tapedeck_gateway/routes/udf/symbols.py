"""/symbols, /symbol_info and /search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query, Response

from tapedeck_crds.errors import NotFound
from tapedeck_crds.session import ALWAYS_OPEN
from tapedeck_gateway.charts.instruments import (
    PriceFormat,
    format_of_prices,
    format_of_step,
    udf_session,
    udf_timezone,
)
from tapedeck_gateway.charts.resolutions import CHART_RESOLUTIONS, base_for
from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.udf.answers import LAST_SECONDS, Text, udf_router
from tapedeck_gateway.routes.udf.series import ChartSeries, open_series
from tapedeck_gateway.store.bars import newest_prices

router = udf_router()
SAMPLED_BARS = 200  # their prices determine the number of decimals
GROUP_MAX = 10_000


@router.get("/symbols")
def symbols(context: Context, limits: Limits, parts: Parts, symbol: Text) -> Response:
    """What a chart must know of a symbol."""
    found = context.symbols.resolve(symbol)
    market = market_of(context, found)
    series = open_series(context, limits, parts, found)
    prices = _price_format(market, series, found)
    session = market.session or ALWAYS_OPEN
    return json_response(
        {
            "name": found.display_name,
            "full_name": str(found),
            "ticker": str(found),
            "description": description(found),
            "type": "transform" if found.series else market.type,
            "session": udf_session(session),
            "timezone": udf_timezone(session),
            "exchange": found.exchange,
            "listed_exchange": found.exchange,
            "format": "price",
            "minmov": prices.minmov,
            "pricescale": prices.pricescale,
            "minmove2": prices.minmove2,
            "fractional": False,
            "pointvalue": 1,
            **_resolution_fields(series.resolutions),
            "volume_precision": 8,
            "visible_plots_set": "ohlcv",
            "data_status": "streaming",
        },
        parts,
    )


def _resolution_fields(resolutions: Sequence[str]) -> dict[str, Any]:
    """What UDF says of resolutions: all of them, and the multipliers of each unit."""
    seconds, days = _multipliers(resolutions, "S"), _multipliers(resolutions, "D")
    weeks, months = _multipliers(resolutions, "W"), _multipliers(resolutions, "M")
    minutes = [name for name in resolutions if name.isdigit()]
    return {
        "supported_resolutions": list(resolutions),
        "has_intraday": bool(seconds or minutes),
        "has_seconds": bool(seconds),
        "seconds_multipliers": seconds,
        "intraday_multipliers": minutes,
        "has_daily": bool(days),
        "daily_multipliers": days,
        "has_weekly_and_monthly": bool(weeks or months),
        "weekly_multipliers": weeks,
        "monthly_multipliers": months,
    }


def _multipliers(resolutions: Sequence[str], unit: str) -> list[str]:
    return [name.removesuffix(unit) for name in resolutions if name.endswith(unit)]


def market_of(context: GatewayContext, symbol: ChartSymbol) -> MarketSymbol:
    """What the store knows of a symbol's market: of a replay's, that which it plays."""
    return context.symbols.index.market(symbol.exchange, symbol.symbol) or MarketSymbol(symbol.exchange, symbol.symbol)


def description(symbol: ChartSymbol) -> str:
    """A line that tells people what a symbol is."""
    replay = symbol.replay_name or symbol.replay
    return f"{symbol.display_name} on {symbol.exchange}" + (f", replay {replay}" if replay else "")


def _price_format(market: MarketSymbol, series: ChartSeries, symbol: ChartSymbol) -> PriceFormat:
    if market.price_step and not symbol.series and not symbol.replay:
        return format_of_step(market.price_step)
    length = series.sampled
    recent = series.bars_of(length).last(length, LAST_SECONDS * 1000, SAMPLED_BARS)
    return format_of_prices([price for bar in recent for price in bar.prices], market.type)


@router.get("/symbol_info")
def symbol_info(context: Context, limits: Limits, parts: Parts, group: Text) -> Response:
    """The symbols of an exchange as a table: a column has a value for each, or one for all."""
    markets = [each for each in context.symbols.index.markets if each.exchange == group and each.has_prices][:GROUP_MAX]
    parts.lack([*context.services.silent, *context.symbols.unknown])
    if not markets:
        raise NotFound(f"group: got {group[:80]!r}, expected an exchange that /config lists")
    formats = _formats(context, markets, limits.of_market(group))
    resolutions = [_resolutions_of(each) for each in markets]
    fields = [_resolution_fields(each) for each in resolutions]
    sessions = [each.session or ALWAYS_OPEN for each in markets]
    names = [str(ChartSymbol(each.exchange, each.symbol)) for each in markets]
    return json_response(
        {
            "symbol": [each.symbol for each in markets],
            "ticker": names,
            "name": [each.symbol for each in markets],
            "full-name": names,
            "description": [description(ChartSymbol(each.exchange, each.symbol)) for each in markets],
            "exchange-listed": group,
            "exchange-traded": group,
            "type": [each.type for each in markets],
            "session-regular": [udf_session(session) for session in sessions],
            "timezone": [udf_timezone(session) for session in sessions],
            "minmovement": [each.minmov for each in formats],
            "minmov": [each.minmov for each in formats],
            "minmovement2": [each.minmove2 for each in formats],
            "pricescale": [each.pricescale for each in formats],
            "fractional": False,
            "pointvalue": 1,
            "has-intraday": [each["has_intraday"] for each in fields],
            "has-seconds": [each["has_seconds"] for each in fields],
            "seconds-multipliers": [each["seconds_multipliers"] for each in fields],
            "intraday-multipliers": [each["intraday_multipliers"] for each in fields],
            "has-daily": [each["has_daily"] for each in fields],
            "has-weekly-and-monthly": [each["has_weekly_and_monthly"] for each in fields],
            "supported-resolutions": resolutions,
            "volume-precision": 8,
            "visible-plots-set": "ohlcv",
        },
        parts,
    )


def _resolutions_of(market: MarketSymbol) -> list[str]:
    if market.has_trades or market.has_tickers:
        return list(CHART_RESOLUTIONS)
    return [name for name, length in CHART_RESOLUTIONS.items() if base_for(market.intervals, length) is not None]


def _formats(context: GatewayContext, markets: Sequence[MarketSymbol], until: int) -> list[PriceFormat]:
    """The formats of prices, of a few newest bars where no exchange has listed the symbol."""
    unlisted = {
        each.symbol: base for each in markets if not each.price_step and (base := base_for(each.intervals)) is not None
    }
    prices = newest_prices(context.pool, markets[0].exchange, unlisted, until) if unlisted else {}
    return [
        format_of_step(each.price_step) if each.price_step else format_of_prices(prices.get(each.symbol, ()), each.type)
        for each in markets
    ]


@router.get("/search")
def search(
    context: Context,
    parts: Parts,
    query: Text = "",
    type_: Annotated[str, Query(alias="type", max_length=50)] = "",
    exchange: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """Symbols whose name contains ``query`` in any spelling: of the store, of replays, results of transforms last."""
    index, unknown = context.symbols.index, context.symbols.unknown
    parts.lack([*context.services.silent, *unknown])
    if unknown and not index.exchanges:
        raise next(iter(unknown.values()))
    return json_response(
        [
            {
                "symbol": found.symbol.display_name,
                "full_name": str(found.symbol),
                "ticker": str(found.symbol),
                "description": description(found.symbol),
                "exchange": found.symbol.exchange,
                "type": found.type,
            }
            for found in index.search(query, type_, exchange, limit)
        ],
        parts,
    )
