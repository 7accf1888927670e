"""Symbols of charts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tapedeck_crds.base import SYMBOL_CHARACTER, SYMBOL_MAX
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.session import WEEKDAYS, Session

_SYMBOL = re.compile(
    r"(?:replay/(?P<replay>[A-Za-z0-9-]{1,64})/)?"
    rf"(?P<exchange>[a-z0-9][a-z0-9._-]{{0,63}}):(?P<symbol>@?{SYMBOL_CHARACTER}{{1,{SYMBOL_MAX}}})"
    r"(?:@(?P<series>[a-z][a-z0-9_]{0,39}))?"
)


@dataclass(frozen=True)
class ChartSymbol:
    """A series that a chart can show.

    ``replay`` is the uid of the replay that plays it, empty for stored and live bars. ``series`` is the name of a
    transform if the chart shows that transform's results, empty for the market's own bars.
    """

    exchange: str
    symbol: str
    replay: str = ""
    series: str = ""

    def __str__(self) -> str:
        text = f"{self.exchange}:{self.display_name}"
        return f"replay/{self.replay}/{text}" if self.replay else text

    @property
    def display_name(self) -> str:
        """The symbol, followed by the transform if there is one."""
        return f"{self.symbol}@{self.series}" if self.series else self.symbol


def parse_symbol(text: str) -> ChartSymbol:
    """Parse ``coinbase:BTC/USD``, ``coinbase:BTC/USD@sma5`` and both after ``replay/<uid>/``.

    Raises InvalidInput for anything else.
    """
    match = _SYMBOL.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"symbol: got {text[:80]!r}, expected exchange:symbol like coinbase:BTC/USD or "
            "coinbase:BTC/USD@transform, after replay/<uid>/ for a replay's"
        )
    return ChartSymbol(match["exchange"], match["symbol"], match["replay"] or "", match["series"] or "")


def udf_session(session: Session) -> str:
    """UDF's text of a session, such as 0930-1600:23456: local hours, and days from 1 for Sunday."""
    if session.is_continuous:
        return "24x7"
    hours = f"{session.open}-{session.close}".replace(":", "")
    days = sorted((WEEKDAYS.index(day) + 1) % 7 + 1 for day in session.days)
    return f"{hours}:{''.join(map(str, days))}"
