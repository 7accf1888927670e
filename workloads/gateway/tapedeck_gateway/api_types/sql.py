"""Statements of users."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class SqlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement that reads the store."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000, examples=["SELECT count(*) FROM bars"])]
    format: Literal["json", "csv", "arrow", "parquet"] | None = None


class SqlColumn(msgspec.Struct, frozen=True):
    """A column of a result, with its type in Postgres."""

    name: str
    type: str


class SqlResult(msgspec.Struct, frozen=True):
    """The rows of a statement."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    truncated: Annotated[bool, msgspec.Meta(description="Whether rows above the limit were left out.")]
