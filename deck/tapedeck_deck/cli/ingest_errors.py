"""`tapedeck errors`: what was refused or lost on the way into the store, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.text import printable
from tapedeck_deck.cli.store_query import rows_of
from tapedeck_deck.cli.text_table import TextTable, age

LIMIT = 200
RECORDER = "recorder"
_HEADERS = ("age", "feed", "exchange", "symbol", "rows", "place", "reason")
# A Feed from files that was started again reads the same rows again: a place with a line is counted once.
_QUERY = """
SELECT max(at), feed, exchange, symbol,
       CASE WHEN place ~ ':[0-9]+$' THEN max(rows) ELSE sum(rows) END::int8, place, reason
FROM ingest_errors
WHERE (%(feed)s::text IS NULL OR feed = %(feed)s) AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
GROUP BY feed, exchange, symbol, place, reason ORDER BY 1 DESC, place LIMIT %(limit)s
"""


def errors_of(dsn: str, resource: Json | None) -> list[tuple[Any, ...]]:
    """The newest LIMIT errors: of a resource since its creation, or of all. Raises DeckError."""
    metadata = {} if resource is None else resource["metadata"]
    parameters = {"feed": metadata.get("name"), "since": metadata.get("creationTimestamp"), "limit": LIMIT}
    return rows_of(dsn, _QUERY, parameters)


def error_lines(found: list[tuple[Any, ...]], *, wide: bool = False) -> list[str]:
    """A table of errors; a ``wide`` one has their time beside their age."""
    if not found:
        return ["nothing was refused"]
    now = datetime.now(UTC)
    rows = [
        [age(at, now), *([_time(at)] if wide else []), feed or f"<{RECORDER}>", *map(_one_line, values)]
        for at, feed, *values in found
    ]
    return TextTable((_HEADERS[0], *(["at"] if wide else []), *_HEADERS[1:])).lines(rows)


def error_owners(found: list[tuple[Any, ...]], labels: Mapping[str, str]) -> list[str]:
    """Who has errors, each once: ``labels`` maps names of resources to kind/name; one that is gone was a feed."""
    names = dict.fromkeys(feed for _, feed, *_ in found)
    return [printable(labels.get(name, f"feed/{name}")) if name else RECORDER for name in names]


def error_documents(found: list[tuple[Any, ...]]) -> list[Json]:
    """The errors as objects; ``at`` is the time of the newest of one place and reason."""
    names = ("at", *_HEADERS[1:])
    return [dict(zip(names, (_time(at), *rest), strict=True)) for at, *rest in found]


def _time(at: datetime) -> str:
    return format_ms(round(at.timestamp() * 1000))


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
