"""The limits of markets that replays record, as lists take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_gateway.future import NO_LIMIT, NOTHING, FutureLimits
from tapedeck_gateway.partial_response import PartialResponse


def recorded_markets(limits: FutureLimits, parts: PartialResponse, exchange: str = "") -> Mapping[str, int] | None:
    """The limit of each recorded market; None where they are not known. ``exchange`` is the only one of interest."""
    if exchange and not exchange.startswith(RECORDED_PREFIX):
        return {}
    known = parts.load("broker", lambda: [limits.recorded_markets()])
    return known[0] if known else None


def limit_of(recorded: Mapping[str, int] | None) -> Callable[[str], int]:
    """The limit of an exchange, of the limits that ``recorded_markets`` returned."""

    def until(exchange: str) -> int:
        if recorded is None and exchange.startswith(RECORDED_PREFIX):
            return NOTHING
        return (recorded or {}).get(exchange, NO_LIMIT)

    return until
