"""Names that a spec gives, against those that there are. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tapedeck_feed.exchanges.adapter import BadInput

NEAR = 5


def near(wanted: str, known: Collection[str]) -> str:
    """``; near matches: …`` for a message, or nothing where nothing is near."""
    folded = {name.upper(): name for name in known}
    found = get_close_matches(wanted.upper(), folded, n=NEAR, cutoff=0.6)
    return f"; near matches: {', '.join(folded[name] for name in found)}" if found else ""


def chosen(exchange: str, wanted: Sequence[str], known: Collection[str], idle: Collection[str] = ()) -> tuple[str, ...]:
    """The symbols that names and patterns such as ``*/USDT`` mean, in order. Raises BadInput for one unknown.

    Those that are ``idle`` go by their names alone.
    """
    found: dict[str, None] = {}
    wrong: list[str] = []
    for name in wanted:
        if "*" in name or "?" in name:
            matched = sorted(symbol for symbol in known if fnmatchcase(symbol, name))
        else:
            matched = [name] if name in known or name in idle else []
        if not matched:
            wrong.append(f"{name!r}{near(name, known)}")
        found |= dict.fromkeys(matched)
    if wrong:
        raise BadInput(
            "UnknownSymbol", f"symbols: got {', '.join(wrong)}; expected symbols that {exchange} trades, like BTC/USDT"
        )
    return tuple(found)
