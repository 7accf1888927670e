"""`tapedeck errors`: what was refused or lost on the way into the store, newest first."""

from __future__ import annotations

from datetime import UTC, datetime

from tapedeck_crds.json import Json
from tapedeck_deck.cli.store_query import rows_of
from tapedeck_deck.cli.text_table import TextTable, age

LIMIT = 200
_HEADERS = ("age", "feed", "exchange", "symbol", "rows", "place", "reason")
# A Feed from files that was started again reads the same rows again: a place with a line is counted once.
_QUERY = """
SELECT max(at), feed, exchange, symbol,
       CASE WHEN place ~ ':[0-9]+$' THEN max(rows) ELSE sum(rows) END::int8, place, reason
FROM ingest_errors
WHERE (%(feed)s::text IS NULL OR feed = %(feed)s) AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
GROUP BY feed, exchange, symbol, place, reason ORDER BY 1 DESC, place LIMIT %(limit)s
"""


def error_lines(dsn: str, resource: Json | None) -> list[str]:
    """A table of the newest LIMIT errors: of a resource since its creation, or of all. Raises DeckError."""
    metadata = {} if resource is None else resource["metadata"]
    parameters = {"feed": metadata.get("name"), "since": metadata.get("creationTimestamp"), "limit": LIMIT}
    found = rows_of(dsn, _QUERY, parameters)
    now = datetime.now(UTC)
    rows = [[age(at, now), feed or "<recorder>", *map(_one_line, values)] for at, feed, *values in found]
    return TextTable(_HEADERS).lines(rows) if rows else []


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
