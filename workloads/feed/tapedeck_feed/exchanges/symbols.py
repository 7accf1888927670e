"""Selects the symbols that a spec names among those that an exchange has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tapedeck_feed.exchanges.errors import InvalidFeedInput

MATCHES_MAX = 5


def near_matches(name: str, candidates: Collection[str]) -> str:
    """``; near matches: …`` for an error message, empty where no candidate is similar."""
    folded = {candidate.upper(): candidate for candidate in candidates}
    found = get_close_matches(name.upper(), folded, n=MATCHES_MAX, cutoff=0.6)
    return f"; near matches: {', '.join(folded[match] for match in found)}" if found else ""


def select_symbols(
    exchange: str, requested: Sequence[str], active: Collection[str], inactive: Collection[str] = ()
) -> tuple[str, ...]:
    """The symbols that names and patterns such as ``*/USDT`` select, in order of the request.

    Inactive symbols are selected by name only. Raises InvalidFeedInput where a name or pattern selects nothing.
    """
    selected: dict[str, None] = {}
    unknown: list[str] = []
    for name in requested:
        if "*" in name or "?" in name:
            matched = sorted(symbol for symbol in active if fnmatchcase(symbol, name))
        else:
            matched = [name] if name in active or name in inactive else []
        if not matched:
            unknown.append(f"{name!r}{near_matches(name, active)}")
        selected |= dict.fromkeys(matched)
    if unknown:
        raise InvalidFeedInput(
            "UnknownSymbol",
            f"symbols: got {', '.join(unknown)}; expected symbols that {exchange} trades, like BTC/USDT",
        )
    return tuple(selected)
