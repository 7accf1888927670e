"""`tapedeck gaps`: bars and trades that are missing, or were until they were filled, in the table ``gaps``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.source import is_pattern
from tapedeck_deck.cli.coverage import series_text
from tapedeck_deck.cli.store_query import rows_of
from tapedeck_deck.cli.text_table import TextTable, age

State: TypeAlias = Literal["open", "filled", "unfillable"]
LIMIT = 200
_SUMMARY_HEADERS = ("exchange", "symbol", "of", "state", "gaps", "trades", "from", "to")
_GAP_HEADERS = ("exchange", "symbol", "of", "state", "trades", "from", "to", "ids")
_CHOSEN = """
FROM gaps
WHERE (%(exchange)s::text IS NULL OR exchange = %(exchange)s)
  AND (%(symbols)s::text[] IS NULL OR symbol = ANY(%(symbols)s))
  AND (%(state)s::text IS NULL OR state = %(state)s)
"""
_TIME = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_OF = "CASE interval WHEN '' THEN 'trades' ELSE interval END"
_SUMMARY = (
    f"SELECT exchange, symbol, {_OF}, state, count(*), sum(trades)::int8, "
    + _TIME.format("min(start_ts)")
    + ", "
    + _TIME.format("max(end_ts)")
    + _CHOSEN
    + "GROUP BY exchange, symbol, interval, state ORDER BY exchange, symbol, interval, state LIMIT %(limit)s"
)
_GAPS = (
    f"SELECT exchange, symbol, {_OF}, state, trades, "
    + _TIME.format("start_ts")
    + ", "
    + _TIME.format("end_ts")
    + ", ids"
    + _CHOSEN
    + "ORDER BY start_ts DESC, exchange, symbol, interval LIMIT %(limit)s"
)


def gap_table(dsn: str, feed: Json | None, state: State | None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Headers and rows: the newest LIMIT gaps of a Feed's series; without a Feed, of all series with gaps counted.

    Raises DeckError.
    """
    found = rows_of(dsn, _SUMMARY if feed is None else _GAPS, _series(feed) | {"state": state, "limit": LIMIT})
    return _SUMMARY_HEADERS if feed is None else _GAP_HEADERS, found


def gap_lines(headers: tuple[str, ...], found: list[tuple[Any, ...]], *, wide: bool = False) -> list[str]:
    """The gaps as a table; a ``wide`` one also tells how long it is from the beginning to the end."""
    rows = [["" if value is None else str(value) for value in row] for row in found]
    if not rows:
        return ["no gaps"]
    if wide:
        begin, end = headers.index("from"), headers.index("to")
        headers = (*headers, "span")
        rows = [[*row, age(datetime.fromisoformat(row[begin]), datetime.fromisoformat(row[end]))] for row in rows]
    return TextTable(headers).lines(rows)


def gap_series(found: list[tuple[Any, ...]]) -> list[str]:
    """The series that have gaps, each once."""
    return list(dict.fromkeys(series_text(exchange, symbol, kind) for exchange, symbol, kind, *_ in found))


def gap_documents(headers: tuple[str, ...], found: list[tuple[Any, ...]]) -> list[Json]:
    """The gaps as objects."""
    return [dict(zip(headers, row, strict=True)) for row in found]


def lasting_gaps(dsn: str, feed: Json | None) -> int:
    """How many gaps of a Feed's series, or of all, are not filled. Raises DeckError."""
    query = "SELECT count(*)" + _CHOSEN + "AND state <> 'filled'"
    return int(rows_of(dsn, query, _series(feed) | {"state": None})[0][0])


def _series(document: Json | None) -> dict[str, object]:
    """Exchange and symbols of a Feed; symbols are None where they are patterns."""
    if document is None:
        return {"exchange": None, "symbols": None}
    feed = parse_resource(document)
    if not isinstance(feed, Feed):
        raise TypeError("expected a Feed")
    files = None if feed.spec.source is None else feed.spec.source.files
    symbols = files.symbols if files is not None else feed.spec.symbols or ()
    exchange = files.exchange if files is not None else feed.spec.exchange
    return {"exchange": exchange, "symbols": None if any(map(is_pattern, symbols)) else [*symbols]}
