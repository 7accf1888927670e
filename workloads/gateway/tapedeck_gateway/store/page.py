"""Pages of rows: columns of equal length, and the place after which the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString, NamedTuple, TypeAlias

from psycopg import sql

from tapedeck_gateway.store.pool import Pool, connection_of

Place: TypeAlias = tuple[int | str, ...]
"""The sort key of a row, without what all rows share."""


class Page(NamedTuple):
    """``columns`` are numpy arrays or sequences, in the order of the row's type. ``next`` is None at the end."""

    columns: Sequence[Any]
    next: Place | None


Query: TypeAlias = LiteralString | sql.Composed
"""A statement with named parameters."""
PageLoader: TypeAlias = Callable[[Place | None, int], Page]
"""Loads the rows after a place, at most so many. Raises Unavailable."""


def rows_after(
    pool: Pool,
    query: Query,
    values: Mapping[str, object],
    limit: int,
    place_of: Callable[[tuple[Any, ...]], Place],
) -> Page:
    """The rows of a query that ends in LIMIT %(limit)s, as a page."""
    rows = rows_of(pool, query, {**values, "limit": limit})
    if not rows:
        return Page((), None)
    return Page(tuple(zip(*rows, strict=True)), place_of(rows[-1]) if len(rows) == limit else None)


def rows_of(pool: Pool, query: Query, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection_of(pool) as connection:
        return connection.execute(query, values, binary=True).fetchall()
