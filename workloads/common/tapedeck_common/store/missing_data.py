"""Explains which part of a selection the store has no data for, and what it has instead."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import psycopg

from tapedeck_common.store import catalogue
from tapedeck_common.store.catalogue import Table
from tapedeck_crds.base import StoreRange, format_ms
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.source import is_pattern, matching_symbols

SYMBOLS_SHOWN = 3


def explain_missing(
    connection: psycopg.Connection[Any], field: str, source: StoreRange, missing: Sequence[str], table: Table
) -> str:
    """The message for symbols or patterns that select nothing: field, value, and what the store has instead.

    ``field`` is the path of ``source`` in its spec, such as source.store.
    """
    stored = catalogue.symbols(connection, source.exchange, table)
    if not stored:
        exchanges = ", ".join(catalogue.exchanges(connection, table)) or "none yet"
        return (
            f"{field}.exchange: got {source.exchange}, expected an exchange with {table} in the store: "
            f"{exchanges}; has the Feed finished?"
        )
    return f"{field}." + "; ".join(
        _explain_symbol(connection, source, symbol, stored, table) for symbol in missing[:SYMBOLS_SHOWN]
    )


def _explain_symbol(
    connection: psycopg.Connection[Any], source: StoreRange, symbol: str, stored: list[str], table: Table
) -> str:
    if symbol not in stored and not is_pattern(symbol):
        near = get_close_matches(symbol, stored, n=3) or stored[:5]
        return (
            f"symbols: got {symbol}, expected a symbol of {source.exchange} with {table} in the store, such as "
            f"{', '.join(near)}; has the Feed finished?"
        )
    matches = matching_symbols(stored, [symbol])
    if not matches:
        return f"symbols: got {symbol}, which matches no symbol, expected to match some of {', '.join(stored[:10])}"
    if table == "trades":
        span, what = catalogue.span(connection, source.exchange, matches[0]), "trades"
    else:
        intervals = catalogue.intervals(connection, source.exchange, matches[0])
        length = BAR_LENGTHS[source.interval]
        usable = [
            each for name, each in intervals.items() if name == length.interval or length.consists_of(BAR_LENGTHS[name])
        ]
        if not usable:
            return (
                f"interval: got {source.interval}, expected an interval of {matches[0]} in the store, or one that "
                f"consists of its bars: {', '.join(intervals)}"
            )
        span, what = (min(usable)[0], max(each[1] for each in usable)), f"bars of {source.interval}"
    overlap = "" if span is None else f", expected a range that overlaps {format_ms(span[0])} to {format_ms(span[1])}"
    return (
        f"from, to: got {source.from_ or 'the first'} to {source.to or 'the last'}, where {matches[0]} has no "
        f"{what}{overlap}"
    )
