"""`tapedeck symbols`: the series of the store, with their time and how whole they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from tapedeck_common.store import catalogue
from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_deck.cli.coverage import TRADES, Coverage, SeriesName, bars_coverage, trades_coverage
from tapedeck_deck.cli.progress import ProgressLines
from tapedeck_deck.cli.store_query import snapshot, store_errors
from tapedeck_deck.cli.text_table import TextTable

_HEADERS = ("exchange", "symbol", "of", "rows", "first", "last", "missing", "coverage")
_SERIES = """
SELECT exchange, symbol, interval, (extract(epoch FROM first_ts) * 1000)::int8,
       (extract(epoch FROM last_ts) * 1000)::int8
FROM bar_series
WHERE (%(exchange)s::text IS NULL OR exchange = %(exchange)s)
  AND (%(interval)s::text IS NULL OR interval = %(interval)s)
ORDER BY exchange, symbol, last_ts - first_ts DESC, interval
"""


def stored_series(dsn: str, exchange: str | None, interval: str | None) -> list[tuple[SeriesName, Coverage]]:
    """Every series with its coverage; trades, too, where no interval is chosen. Raises DeckError."""
    with ProgressLines("counting rows of the store"), store_errors(), snapshot(dsn) as connection:
        found = [*_bars(connection, exchange, interval)]
        if interval is None:
            found += _trades(connection, exchange)
    return sorted(found, key=lambda each: (each[0].exchange, each[0].symbol, not each[0].interval))


def series_lines(found: list[tuple[SeriesName, Coverage]], *, blocks: bool) -> list[str]:
    """A table of the series; with ``blocks`` the coverage is drawn, too."""
    if not found:
        return ["the store has no such series"]
    return TextTable(_HEADERS).lines([_cells(name, coverage, blocks) for name, coverage in found])


def series_names(found: list[tuple[SeriesName, Coverage]]) -> list[str]:
    """The series alone, a line each."""
    return [str(name) for name, _ in found]


def series_json(found: list[tuple[SeriesName, Coverage]]) -> list[Json]:
    """The series as objects; ``interval`` is null for trades."""
    return [
        {
            "exchange": name.exchange,
            "symbol": name.symbol,
            "kind": "bars" if name.interval else TRADES,
            "interval": name.interval or None,
            "rows": coverage.rows,
            "first": format_ms(coverage.first),
            "last": format_ms(coverage.last),
            "missing": coverage.missing,
            "missingUnit": coverage.unit,
            "coverage": coverage.share,
        }
        for name, coverage in found
    ]


def _bars(
    connection: psycopg.Connection[Any], exchange: str | None, interval: str | None
) -> Iterator[tuple[SeriesName, Coverage]]:
    chosen = connection.execute(_SERIES, {"exchange": exchange, "interval": interval}).fetchall()
    for market, series in groupby(chosen, key=itemgetter(0)):
        of_market = list(series)
        sessions = catalogue.sessions(connection, market, [symbol for _, symbol, *_ in of_market])
        for _, symbol, length, first, last in of_market:
            name = SeriesName(market, symbol, length)
            coverage = bars_coverage(connection, name, first, last, sessions.get(symbol))
            if coverage is not None:
                yield name, coverage


def _trades(connection: psycopg.Connection[Any], exchange: str | None) -> Iterator[tuple[SeriesName, Coverage]]:
    for market in catalogue.exchanges(connection, "trades") if exchange is None else [exchange]:
        for symbol in catalogue.symbols(connection, market, "trades"):
            name = SeriesName(market, symbol, "")
            coverage = trades_coverage(connection, name)
            if coverage is not None:
                yield name, coverage


def _cells(name: SeriesName, coverage: Coverage, blocks: bool) -> list[str]:
    unit = f" {coverage.unit}" if coverage.unit == "trading days" else ""
    return [
        name.exchange,
        name.symbol,
        name.kind,
        f"{coverage.rows:,}",
        format_ms(coverage.first),
        format_ms(coverage.last),
        f"{coverage.missing:,}{unit}",
        f"{coverage.blocks} {coverage.percent}" if blocks else coverage.percent,
    ]
