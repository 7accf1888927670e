"""Analytics: returns, volatility, volume, movers and correlation."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tapedeck_gateway.api_types.fields import Ms

Share = Annotated[float, msgspec.Meta(description="A share: 0.01 is 1 %.")]


class PeriodReturn(msgspec.Struct, frozen=True, rename={"change": "return"}):
    """The change from the close of the period before, and null without one."""

    ts: Ms
    open: float
    close: float
    change: Share | None


class SymbolReturns(msgspec.Struct, frozen=True):
    """A symbol's returns, period by period; periods without bars are left out."""

    symbol: str
    returns: list[PeriodReturn]


class ReturnReport(msgspec.Struct, frozen=True):
    """Returns of several symbols."""

    period: str
    symbols: list[SymbolReturns]


class SymbolVolatility(msgspec.Struct, frozen=True):
    """The standard deviation (n - 1) of a symbol's logarithmic returns; null with fewer than two of them.

    ``annualised`` is it times the square root of the periods of a year: 365 days, or 252 of five days a week.
    """

    symbol: str
    returns: int
    volatility: float | None
    annualised: float | None


class VolatilityReport(msgspec.Struct, frozen=True):
    """Volatility of several symbols."""

    interval: str
    symbols: list[SymbolVolatility]


class PeriodVolume(msgspec.Struct, frozen=True):
    """The volume of a period in the base currency."""

    ts: Ms
    volume: float


class SymbolVolume(msgspec.Struct, frozen=True):
    """A symbol's volume, period by period, and its sum."""

    symbol: str
    total: float
    periods: list[PeriodVolume]


class VolumeReport(msgspec.Struct, frozen=True):
    """Volume of several symbols."""

    period: str
    symbols: list[SymbolVolume]


class Mover(msgspec.Struct, frozen=True):
    """A symbol with its last close, and its change since the last close before the period."""

    symbol: str
    ts: Annotated[int, msgspec.Meta(description="Close time of the last bar, milliseconds UTC.")]
    close: float
    before: float
    change: Share


class MoverReport(msgspec.Struct, frozen=True):
    """The symbols of an exchange whose prices changed most: rises and falls, and prices that stayed the same."""

    exchange: str
    period: str
    at: Ms
    up: list[Mover]
    down: list[Mover]
    flat: list[Mover]


class CorrelationReport(msgspec.Struct, frozen=True):
    """Pearson's correlation of logarithmic returns, of each pair over the bars that both have.

    ``matrix`` and ``counts`` (the number of common returns) have a row and a column for each symbol, in order. Null
    where a pair has fewer than three common returns, or a price that does not change.
    """

    interval: str
    symbols: list[str]
    matrix: list[list[float | None]]
    counts: list[list[int]]
