"""Bars kept in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from tapedeck_common.settings import Connections
from tapedeck_common.store.bars import Block, Resolved, Selection, read_blocks, resolve
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.base import time_ms
from tapedeck_crds.source import StoredBars
from tapedeck_replay.store_lack import nothing
from tapedeck_replay.store_reader import StoreReader, named_and_matching, place_of
from tapedeck_replay.tape import After, BadInput, Tape

WINDOW_ROWS = 20_000  # what the database sorts without a file

_COUNT = """
SELECT count(*) FROM bars
WHERE exchange = %s AND symbol = ANY(%s) AND interval = %s
  AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
"""


class StoreSource:
    """Bars of a range of the store."""

    def __init__(self, connections: Connections, wanted: StoredBars, name: str) -> None:
        self._wanted = wanted
        self._store = StoreReader(connections, name)

    def resolve(self) -> Tape:
        wanted = self._wanted
        self._store.wait_recorded(MARKET_BARS)
        found = self._store.ask(self._resolve)
        played = tuple(symbol for symbol in found.selection.symbols if symbol not in found.missing)
        rows = {symbol: found.rows_of[symbol] for symbol in played}
        return Tape(wanted.exchange, played, wanted.interval, found.start, found.end, rows, found.fingerprint)

    def _resolve(self, connection: psycopg.Connection[Any]) -> Resolved:
        wanted = self._wanted
        named, matching = named_and_matching(connection, wanted, "bars")
        selection = Selection(
            wanted.exchange,
            matching,
            wanted.interval,
            None if wanted.from_ is None else time_ms(wanted.from_),
            None if wanted.to is None else time_ms(wanted.to),
        )
        found = resolve(connection, selection)
        missing = [symbol for symbol in found.missing if symbol in named]
        if missing or not found.rows:
            raise BadInput("NoBars", nothing(connection, wanted, missing or sorted(wanted.symbols), "bars"))
        return found

    def resume(self, tape: Tape) -> None:
        """Of what was resolved the store is asked as it plays."""

    def count(self, tape: Tape, v: int) -> int:
        end = min(tape.end, v - tape.known_after + 1)
        row = self._store.ask(
            lambda connection: connection.execute(
                _COUNT, (tape.exchange, list(tape.symbols), tape.interval, tape.start, end)
            ).fetchone()
        )
        return int(row[0]) if row is not None else 0

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        selection = Selection(tape.exchange, tape.symbols, tape.interval, tape.start, tape.end)
        resolved = Resolved(selection, tape.start, tape.end, tape.rows_of, tape.fingerprint)

        def reading(connection: psycopg.Connection[Any], place: After | None) -> Iterator[Block]:
            behind = None if place is None else place[:2]
            return read_blocks(connection, resolved, after=behind, window_rows=WINDOW_ROWS)

        return self._store.read(reading, lambda block: place_of(block, tape), after)
