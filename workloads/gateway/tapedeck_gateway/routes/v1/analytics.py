"""Analytics from aggregated bars: returns, volatility, volume, movers and correlation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response

from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS, BarLength
from tapedeck_gateway import statistics
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.analytics import (
    CorrelationReport,
    MoverReport,
    PeriodReturn,
    PeriodVolume,
    ReturnReport,
    SymbolReturns,
    SymbolVolatility,
    SymbolVolume,
    VolatilityReport,
    VolumeReport,
)
from tapedeck_gateway.charts.intervals import interval_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, Database
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import LIST_MAX, Range, parse_moment
from tapedeck_gateway.routes.v1.series import ChosenBars, bars_of
from tapedeck_gateway.statistics import ClosePrices
from tapedeck_gateway.store import catalogue
from tapedeck_gateway.store import movers as stored_movers
from tapedeck_gateway.store.page import Place
from tapedeck_gateway.store.pool import Pool

router = APIRouter(prefix=f"{API}/analytics", tags=["analytics"])
BARS_MAX = 20_000  # of one symbol
SYMBOLS_MAX = 50
Period: TypeAlias = Literal["day", "week", "month"]
_INTERVALS: dict[Period, str] = {"day": "1d", "week": "1w", "month": "1M"}
_MOVES_MS: dict[Period, int] = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
Periods: TypeAlias = Annotated[Period, Query(description="Days, weeks from Monday, or months, all in UTC.")]
Symbols: TypeAlias = Annotated[
    list[str],
    Query(
        alias="symbol", min_length=1, max_length=SYMBOLS_MAX, description="Symbols such as coinbase:BTC/USD, each by "
        "itself: symbol=…&symbol=…",
    ),
]  # fmt: skip
Interval: TypeAlias = Annotated[str, Query(max_length=20, description="The bars whose returns are taken.")]


class _Loaded(NamedTuple):
    """The bars of one symbol."""

    symbol: ChartSymbol
    ts: Ints
    open: Floats
    close: Floats
    volume: Floats


class BarsOfSymbols:
    """The bars of the symbols that a request names, in its range."""

    def __init__(self, context: Context, limits: Limits, parts: Parts, symbols: Symbols, span: Range) -> None:
        self.context, self.parts = context, parts
        self._limits, self._symbols, self._span = limits, symbols, span

    def load(self, length: BarLength) -> list[_Loaded]:
        """The bars of each symbol. Raises InvalidInput, NotFound, Unavailable."""
        parsed = [self.context.symbols.resolve(text) for text in self._symbols]
        if len(set(parsed)) < len(parsed):
            raise InvalidInput(f"symbol: got {', '.join(self._symbols)[:80]!r}, expected each once")
        return [self._load_one(symbol, length) for symbol in parsed]

    def _load_one(self, symbol: ChartSymbol, length: BarLength) -> _Loaded:
        chosen = bars_of(self.context, self._limits, self.parts, symbol, length, self._span)
        columns = _all_columns(chosen, symbol)
        ts = np.asarray(columns[0], dtype=np.int64)
        opened, closed, volumes = (np.asarray(columns[i], dtype=np.float64) for i in (1, 4, 5))
        return _Loaded(symbol, ts, opened, closed, volumes)


def _all_columns(chosen: ChosenBars, symbol: ChartSymbol) -> list[list[Any]]:
    """The columns of all bars of a range. Raises InvalidInput where there are more than BARS_MAX."""
    columns: list[list[Any]] = [[] for _ in range(6)]
    place: Place | None = None
    while True:
        page = chosen.page(place, BARS_MAX + 1)
        for column, values in zip(columns, page.columns, strict=False):
            column.extend(values)
        if len(columns[0]) > BARS_MAX:
            raise InvalidInput(f"from: expected a range of at most {BARS_MAX:,} bars of {symbol}; ask for longer bars")
        if page.next is None:
            return columns
        place = page.next


Asked: TypeAlias = Annotated[BarsOfSymbols, Depends()]


@reading(router, "/returns", ReturnReport)
def returns(request: Request, asked: Asked, period: Periods = "day") -> Response:
    """The returns of each day, week or month that is over."""
    loaded = asked.load(BAR_LENGTHS[_INTERVALS[period]])
    found = [SymbolReturns(str(each.symbol), _returns(each)) for each in loaded]
    return json_answer(request, ReturnReport(period, found), headers=asked.parts.headers)


@reading(router, "/volatility", VolatilityReport)
def volatility(request: Request, asked: Asked, interval: Interval = "1d") -> Response:
    """The standard deviation of logarithmic returns, and the same as that of a year."""
    length = interval_length(interval)
    loaded = asked.load(length)
    found = [_volatility(asked.context.pool, each, length) for each in loaded]
    return json_answer(request, VolatilityReport(interval, found), headers=asked.parts.headers)


@reading(router, "/volume", VolumeReport)
def volume(request: Request, asked: Asked, period: Periods = "day") -> Response:
    """The volume of each day, week or month that is over, in the base currency."""
    loaded = asked.load(BAR_LENGTHS[_INTERVALS[period]])
    found = [
        SymbolVolume(
            str(each.symbol),
            float(np.sum(each.volume)),
            [PeriodVolume(ts, volume) for ts, volume in zip(each.ts.tolist(), each.volume.tolist(), strict=True)],
        )
        for each in loaded
    ]
    return json_answer(request, VolumeReport(period, found), headers=asked.parts.headers)


@reading(router, "/movers", MoverReport)
def movers(
    request: Request,
    pool: Database,
    limits: Limits,
    exchange: Annotated[str, Query(min_length=1, max_length=64)],
    period: Annotated[Period, Query(description="A day, 7 days or 30 days before `at`.")] = "day",
    at: Annotated[str, Query(max_length=40, description="By default the close of the exchange's newest bar.")] = "",
    limit: Annotated[int, Query(ge=1, le=LIST_MAX, description="Symbols of each direction.")] = 10,
) -> Response:
    """The symbols of an exchange that rose and fell most over a period, and those whose price is the same."""
    newest = stored_movers.newest_close(pool, exchange)
    if newest is None:
        raise NotFound(f"exchange: got {exchange[:80]!r}, expected one with stored bars")
    given = parse_moment("at", at)
    until = min(limits.of_market(exchange), newest if given is None else given)
    found = stored_movers.movers(pool, exchange, max(0, until - _MOVES_MS[period]), until)
    up = [each for each in found if each.change > 0]
    down = [each for each in reversed(found) if each.change < 0]
    flat = [each for each in found if each.change == 0]
    return json_answer(request, MoverReport(exchange, period, until, up[:limit], down[:limit], flat[:limit]))


@reading(router, "/correlation", CorrelationReport)
def correlation(request: Request, asked: Asked, interval: Interval = "1d") -> Response:
    """How the returns of symbols go together, pair by pair."""
    length = interval_length(interval)
    loaded = asked.load(length)
    matrix, counts = statistics.correlation([ClosePrices(each.ts, each.close) for each in loaded])
    names = [str(each.symbol) for each in loaded]
    return json_answer(request, CorrelationReport(interval, names, matrix, counts), headers=asked.parts.headers)


def _returns(bars: _Loaded) -> list[PeriodReturn]:
    changes = statistics.changes(bars.close)
    rows = zip(bars.ts.tolist(), bars.open.tolist(), bars.close.tolist(), changes, strict=True)
    return [PeriodReturn(*row) for row in rows]


def _volatility(pool: Pool, bars: _Loaded, length: BarLength) -> SymbolVolatility:
    found = statistics.log_returns(bars.close)
    deviation = statistics.volatility(found)
    session = catalogue.session(pool, bars.symbol.exchange, bars.symbol.symbol)
    a_year = statistics.annualised(deviation, length, session)
    return SymbolVolatility(str(bars.symbol), len(found), deviation, a_year)
