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
    rows: Annotated[
        list[list[Any]],
        msgspec.Meta(
            description="int2, int4 and int8 are integers, float4 and float8 numbers (NaN and infinite ones null), "
            "bool a boolean, timestamptz a text in RFC 3339 (UTC), numeric a text with all of its digits; json, jsonb "
            "and arrays are what they hold; other types are texts as PostgreSQL writes them."
        ),
    ]
    truncated: Annotated[bool, msgspec.Meta(description="Whether rows above `limit`, or above 16 MiB, were left out.")]
