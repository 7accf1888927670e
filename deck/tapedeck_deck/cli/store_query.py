"""Questions of commands to the deck's database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg

from tapedeck_deck.embedded.errors import DeckError


def rows_of(dsn: str, query: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """The rows that a query returns. Raises DeckError."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            return connection.execute(query, parameters).fetchall()
    except psycopg.Error as error:
        raise DeckError(f"store: {error}; `tapedeck status` shows whether the database runs") from error
