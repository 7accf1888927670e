"""Symbols of charts: how they are written, and what they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tapedeck_crds.base import SYMBOL_CHARACTER, SYMBOL_MAX
from tapedeck_crds.errors import InvalidInput

# Either replay/<namespace>/<name>: or replay/<uid>/<exchange>:, or an exchange, or nothing; then symbol and transform.
_TEXT = re.compile(
    r"(?:replay/(?P<first>[a-z0-9.-]{1,64})/(?P<second>[a-z0-9][a-z0-9._-]{0,63}):"
    r"|(?P<exchange>[a-z0-9][a-z0-9._-]{0,63}):)?"
    rf"(?P<symbol>@?{SYMBOL_CHARACTER}{{1,{SYMBOL_MAX}}})"
    r"(?:@(?P<series>[a-z][a-z0-9_]{0,39}))?",
    re.IGNORECASE,
)
_SEPARATORS = str.maketrans("", "", "/-_ ")


@dataclass(frozen=True)
class ChartSymbol:
    """A series that a chart can show.

    ``replay`` is the uid of the replay that plays it, empty for stored and live bars; ``replay_name`` is that replay's
    namespace/name, empty where another replay has taken the name. ``series`` is the name of a transform if the chart
    shows that transform's results, empty for the market's own bars.
    """

    exchange: str
    symbol: str
    replay: str = ""
    series: str = ""
    replay_name: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.replay_name:
            return f"replay/{self.replay_name}:{self.display_name}"
        text = f"{self.exchange}:{self.display_name}"
        return f"replay/{self.replay}/{text}" if self.replay else text

    @property
    def display_name(self) -> str:
        """The symbol, followed by the transform if there is one."""
        return f"{self.symbol}@{self.series}" if self.series else self.symbol


@dataclass(frozen=True)
class SymbolText:
    """A symbol as a client wrote it; exchange, replay and transform in lower case.

    ``replay`` is (namespace, name) or (uid, exchange). Where ``exchange`` is no exchange, it belongs to the symbol:
    ``BTCUSDT:USDT`` is a future.
    """

    symbol: str
    exchange: str = ""
    replay: tuple[str, str] | None = None
    series: str = ""


def parse_symbol(text: str) -> SymbolText:
    """Parse ``coinbase:BTC/USD``, ``BTCUSD``, ``replay/default/tape:BTC/USD``, and these with ``@sma5``, in any case.

    Raises InvalidInput for what no symbol can be.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"symbol: got {text[:80]!r}, expected one like coinbase:BTC/USD, BTCUSD, replay/namespace/name:BTC/USD or "
            "coinbase:BTC/USD@transform"
        )
    replay = (match["first"].lower(), match["second"].lower()) if match["first"] else None
    return SymbolText(match["symbol"], (match["exchange"] or "").lower(), replay, (match["series"] or "").lower())


def compact(text: str) -> str:
    """What the spellings of a symbol have in common: BTC/USD, BTC-USD, btc_usd and BTCUSD are ``btcusd``."""
    return text.lower().translate(_SEPARATORS)
