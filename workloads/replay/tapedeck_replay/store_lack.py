"""Why the store has nothing of what is wanted, and what it has instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import psycopg

from tapedeck_common.store import catalogue
from tapedeck_common.store.catalogue import Table
from tapedeck_crds.base import format_ms
from tapedeck_crds.source import StoredBars, is_pattern
from tapedeck_replay.symbols import matching_symbols

MISSING_SHOWN = 3


def nothing(connection: psycopg.Connection[Any], wanted: StoredBars, missing: list[str], of: Table) -> str:
    """Why there is nothing of some symbols or patterns: what the store has instead, as far as that helps."""
    known = catalogue.symbols(connection, wanted.exchange, of)
    if not known:
        there = ", ".join(catalogue.exchanges(connection, of)) or f"no {of} at all"
        return (
            f"source.store.exchange: got {wanted.exchange}, of which the store has no {of}, expected one of those it "
            f"has: {there}; is the Feed through?"
        )
    return "source.store." + "; ".join(
        _lack(connection, wanted, symbol, known, of) for symbol in missing[:MISSING_SHOWN]
    )


def _lack(connection: psycopg.Connection[Any], wanted: StoredBars, symbol: str, known: list[str], of: Table) -> str:
    if symbol not in known and not is_pattern(symbol):
        near = get_close_matches(symbol, known, n=3) or known[:5]
        return (
            f"symbols: got {symbol}, of which the store has no {of} from {wanted.exchange}, expected such as "
            f"{', '.join(near)}; is the Feed through?"
        )
    matching = matching_symbols(known, [symbol])
    if not matching:
        return f"symbols: got {symbol}, which matches none, expected to match some of {', '.join(known[:10])}"
    if of == "trades":
        span, what = catalogue.span(connection, wanted.exchange, matching[0]), "trade"
    else:
        there = catalogue.intervals(connection, wanted.exchange, matching[0])
        if wanted.interval not in there:
            return (
                f"interval: got {wanted.interval}, of which {matching[0]} has no bars, expected one of "
                f"{', '.join(there)}"
            )
        span, what = there[wanted.interval], f"bar of {wanted.interval}"
    meets = "" if span is None else f", expected a range that meets {format_ms(span[0])} to {format_ms(span[1])}"
    return (
        f"from, to: got {wanted.from_ or 'the first'} to {wanted.to or 'the last'}, in which {matching[0]} has no "
        f"{what}{meets}"
    )
