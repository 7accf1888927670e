"""Trades kept in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from tapedeck_common.settings import Connections
from tapedeck_common.store.trades import TradeBlock, TradeSelection, TradesFound, find_trades, read_trades
from tapedeck_common.topics import MARKET_TRADES
from tapedeck_crds.base import time_ms
from tapedeck_crds.source import StoredBars
from tapedeck_replay.store_lack import nothing
from tapedeck_replay.store_reader import StoreReader, named_and_matching, place_of
from tapedeck_replay.tape import After, BadInput, Tape

_COUNT = """
SELECT count(*) FROM trades WHERE exchange = %s AND symbol = ANY(%s)
  AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
"""


class StoreTrades:
    """Trades of a range of the store."""

    def __init__(self, connections: Connections, wanted: StoredBars, name: str) -> None:
        self._wanted = wanted
        self._store = StoreReader(connections, name)

    def resolve(self) -> Tape:
        wanted = self._wanted
        self._store.wait_recorded(MARKET_TRADES)
        found = self._store.ask(self._find)
        return Tape(
            wanted.exchange,
            tuple(sorted(found.rows_of)),
            wanted.interval,
            found.first if wanted.from_ is None else time_ms(wanted.from_),
            found.last + 1 if wanted.to is None else time_ms(wanted.to),
            found.rows_of,
            found.fingerprint,
            channel="trades",
        )

    def _find(self, connection: psycopg.Connection[Any]) -> TradesFound:
        wanted = self._wanted
        named, matching = named_and_matching(connection, wanted, "trades")
        start = None if wanted.from_ is None else time_ms(wanted.from_)
        end = None if wanted.to is None else time_ms(wanted.to)
        found = find_trades(connection, wanted.exchange, matching, start, end)
        missing = sorted(named - found.rows_of.keys())
        if missing or not found.rows_of:
            raise BadInput("NoTrades", nothing(connection, wanted, missing or sorted(wanted.symbols), "trades"))
        return found

    def resume(self, tape: Tape) -> None:
        """Of what was resolved the store is asked as it plays."""

    def count(self, tape: Tape, v: int) -> int:
        end = min(tape.end, v + 1)
        row = self._store.ask(
            lambda connection: connection.execute(
                _COUNT, (tape.exchange, list(tape.symbols), tape.start, end)
            ).fetchone()
        )
        return int(row[0]) if row is not None else 0

    def blocks(self, tape: Tape, after: After | None) -> Iterator[TradeBlock]:
        chosen = TradeSelection(tape.exchange, tape.symbols, tape.start, tape.end)

        def reading(connection: psycopg.Connection[Any], place: After | None) -> Iterator[TradeBlock]:
            behind = None if place is None else (place.ts, place.symbol, str(place.id))
            return read_trades(connection, chosen, after=behind)

        return self._store.read(reading, lambda block: place_of(block, tape, block.id[-1]), after)
