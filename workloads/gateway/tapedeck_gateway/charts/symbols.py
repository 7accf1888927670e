"""Names of charts: symbols of the store and of replays, and resolutions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tapedeck_crds.base import INTERVAL_MS

# UDF's resolution → our interval.
RESOLUTIONS = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "1D": "1d"}

_SYMBOL = re.compile(
    r"(?:replay/(?P<replay>[A-Za-z0-9-]{1,64})/)?"
    r"(?P<exchange>[a-z0-9][a-z0-9._-]{0,63}):(?P<symbol>[A-Za-z0-9][A-Za-z0-9._/:-]{0,63})"
    r"(?:@(?P<series>[a-z][a-z0-9_]{0,39}))?"
)


@dataclass(frozen=True)
class Name:
    """A series that can be charted; ``replay`` is the uid of the replay that plays it, empty for the store's.

    ``series`` names the transform where it is not the market itself but what that results in.
    """

    exchange: str
    symbol: str
    replay: str = ""
    series: str = ""

    def __str__(self) -> str:
        series = f"{self.exchange}:{self.chart}"
        return f"replay/{self.replay}/{series}" if self.replay else series

    @property
    def chart(self) -> str:
        """The symbol, and the transform where there is one."""
        return f"{self.symbol}@{self.series}" if self.series else self.symbol


def parse_name(text: str) -> Name:
    """``coinbase:BTC/USD``, ``coinbase:BTC/USD@sma5`` or ``replay/<uid>/coinbase:BTC/USD``; ValueError otherwise."""
    match = _SYMBOL.fullmatch(text)
    if match is None or (match["replay"] and match["series"]):
        raise ValueError(
            f"symbol: got {text[:80]!r}, expected exchange:symbol like coinbase:BTC/USD, "
            "coinbase:BTC/USD@transform or replay/<uid>/coinbase:BTC/USD"
        )
    return Name(match["exchange"], match["symbol"], match["replay"] or "", match["series"] or "")


def width_of(resolution: str) -> int:
    """Length of a resolution's bars in milliseconds; ValueError for one that is not served."""
    plain = "1D" if resolution.upper() in ("D", "1D") else resolution
    interval = RESOLUTIONS.get(plain)
    if interval is None:
        raise ValueError(f"resolution: got {resolution[:20]!r}, expected one of {', '.join(RESOLUTIONS)}")
    return INTERVAL_MS[interval]


def resolutions_from(base_ms: int) -> list[str]:
    """The resolutions that bars of ``base_ms`` can be built into."""
    return [name for name, interval in RESOLUTIONS.items() if INTERVAL_MS[interval] % base_ms == 0]
