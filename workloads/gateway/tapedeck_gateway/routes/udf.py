"""TradingView's UDF protocol, as it is publicly documented: configuration, symbols and past bars. Times in seconds."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse

from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import RESOLUTIONS, Name, parse_name, resolutions_from, width_of
from tapedeck_gateway.context import Deck, deck_of
from tapedeck_gateway.history import MAX_BARS, Past, ReplayPast, StorePast
from tapedeck_gateway.push.subscription_hub import caught_up
from tapedeck_gateway.store import bars as stored
from tapedeck_gateway.store import catalogue, points

router = APIRouter()
MAX_SECONDS = 253_402_300_799  # the end of the year 9999
Text = Annotated[str, Query(max_length=200)]
Seconds = Annotated[int, Query(ge=0, le=MAX_SECONDS)]


class NotFound(ValueError):
    """The request is sound; what it asks for is not there."""


@router.get("/config")
def config(request: Request) -> dict[str, Any]:
    exchanges = sorted({exchange for exchange, _ in stored.series_kept(deck_of(request).pool)})
    return {
        "supports_search": True,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_time": True,
        "supported_resolutions": list(RESOLUTIONS),
        "exchanges": [{"value": "", "name": "All", "desc": "All exchanges"}]
        + [{"value": name, "name": name, "desc": name} for name in exchanges],
        "symbols_types": [{"name": "crypto", "value": "crypto"}],
    }


@router.get("/time", response_class=PlainTextResponse)
def server_time() -> str:
    return str(int(time.time()))


@router.get("/symbols")
def symbols(request: Request, symbol: Text) -> dict[str, Any]:
    deck, name = deck_of(request), parse_name(symbol)
    past, base = _past(deck, name)
    step = None if name.replay or name.series else catalogue.price_step(deck.pool, name.exchange, name.symbol)
    minmov, pricescale = ticks(step) if step else (1, 10 ** _decimals(past.back(base, MAX_SECONDS * 1000, 200)))
    return {
        "name": name.chart,
        "full_name": str(name),
        "ticker": str(name),
        "description": f"{name.chart} on {name.exchange}" + (f", replay {name.replay}" if name.replay else ""),
        "type": "crypto",
        "session": "24x7",
        "timezone": "Etc/UTC",
        "exchange": name.exchange,
        "listed_exchange": name.exchange,
        "minmov": minmov,
        "pricescale": pricescale,
        "has_intraday": True,
        "has_daily": True,
        "has_weekly_and_monthly": False,
        "intraday_multipliers": [r for r in resolutions_from(base) if r.isdigit()],
        "supported_resolutions": resolutions_from(base),
        "volume_precision": 8,
        "data_status": "streaming",
        "format": "price",
    }


@router.get("/search")
def search(
    request: Request,
    query: Text = "",
    type_: Annotated[str, Query(alias="type", max_length=50)] = "",
    exchange: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> list[dict[str, str]]:
    deck = deck_of(request)
    names = [Name(*series) for series in stored.series_kept(deck.pool)]
    for replay in deck.replays.listed():
        names.extend(Name(replay.exchange, symbol, replay.uid) for symbol in replay.symbols)
    wanted = query.lower()
    if "@" in wanted:
        names = points.names_kept(deck.pool)
    found = [
        name
        for name in names
        if wanted in str(name).lower() and exchange in ("", name.exchange) and type_ in ("", "crypto")
    ]
    return [
        {
            "symbol": name.chart,
            "full_name": str(name),
            "ticker": str(name),
            "description": f"{name.chart} on {name.exchange}" + (f", replay {name.replay}" if name.replay else ""),
            "exchange": name.exchange,
            "type": "crypto",
        }
        for name in found[:limit]
    ]


@router.get("/history")
def history(
    request: Request,
    symbol: Text,
    resolution: Annotated[str, Query(max_length=20)],
    to: Seconds,
    from_: Annotated[int, Query(alias="from", ge=0, le=MAX_SECONDS)] = 0,
    countback: Annotated[int | None, Query(ge=1, le=MAX_BARS)] = None,
) -> dict[str, Any]:
    """Closed bars with open in [from, to), or the last ``countback`` before ``to``; the forming one is pushed."""
    name, width = parse_name(symbol), width_of(resolution)
    if countback is None and from_ >= to:
        raise ValueError(f"from: got {from_}, expected a time before to={to}")
    past, base = _past(deck_of(request), name)
    if width % base:
        raise ValueError(f"resolution: got {resolution!r}, expected one of {', '.join(resolutions_from(base))}")
    if countback is not None:
        bars = past.back(width, to * 1000, countback)
    else:
        bars = past.bars(width, from_ * 1000, to * 1000, MAX_BARS)
    if not bars:
        before = past.last_before(width, from_ * 1000) if countback is None else None
        return {"s": "no_data"} | ({} if before is None else {"nextTime": before // 1000})
    return {
        "s": "ok",
        "t": [bar.ts // 1000 for bar in bars],
        "o": [bar.open for bar in bars],
        "h": [bar.high for bar in bars],
        "l": [bar.low for bar in bars],
        "c": [bar.close for bar in bars],
        "v": [bar.volume for bar in bars],
    }


def _past(deck: Deck, name: Name) -> tuple[Past, int]:
    """Where the name's bars come from, and the length of the finest, milliseconds."""
    if name.replay:
        view = caught_up(deck.tail, name)
        return ReplayPast(deck.pool, name, view), view.interval_ms
    if name.series:
        interval = points.interval_of(deck.pool, name)
        if interval is None:
            raise NotFound(f"symbol: got {str(name)!r}, expected one that a transform has results of")
        return points.PointsPast(deck.pool, name, interval, int(time.time() * 1000)), points.base_of(interval)
    if stored.first_open(deck.pool, name.exchange, name.symbol, "1m") is None:
        raise NotFound(f"symbol: got {str(name)!r}, expected one that the store has bars of")
    return StorePast(deck.pool, name, int(time.time() * 1000)), 60_000


def ticks(step: float) -> tuple[int, int]:
    """(minmov, pricescale), whose quotient is the smallest change of a price: 0.05 is (5, 100)."""
    digits = Decimal(repr(step)).normalize().as_tuple()
    exponent = digits.exponent if isinstance(digits.exponent, int) else 0
    minmov = int("".join(map(str, digits.digits)))
    return (minmov * 10**exponent, 1) if exponent >= 0 else (minmov, 10**-exponent)


def _decimals(recent: list[Candle]) -> int:
    """How many decimals the prices use: 2 to 8."""
    texts = [f"{price:.8f}".rstrip("0") for bar in recent for price in (bar.open, bar.close)]
    return min(8, max([2, *(len(text.partition(".")[2]) for text in texts)]))
