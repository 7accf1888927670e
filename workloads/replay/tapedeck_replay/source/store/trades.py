"""Trades from the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from tapedeck_common.settings import Connections
from tapedeck_common.store.missing_data import explain_missing
from tapedeck_common.store.trades import ResolvedTrades, TradeBlock, TradeSelection, read_trade_blocks, resolve_trades
from tapedeck_common.topics import MARKET_TRADES
from tapedeck_crds.base import time_ms
from tapedeck_crds.source import StoredBars
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import Dataset, StartAfter
from tapedeck_replay.source.store.reader import StoreReader, bound_of, select_symbols

_COUNT = """
SELECT count(*) FROM trades WHERE exchange = %s AND symbol = ANY(%s)
  AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
"""


class StoreTradeSource:
    """Trades of a range of the store."""

    def __init__(self, connections: Connections, spec: StoredBars, name: str) -> None:
        self._spec = spec
        self._reader = StoreReader(connections, name)

    def resolve(self) -> Dataset:
        spec = self._spec
        self._reader.wait_recorded(MARKET_TRADES)
        found = self._reader.query(self._find)
        return Dataset(
            spec.exchange,
            tuple(sorted(found.rows_of)),
            spec.interval,
            found.first if spec.from_ is None else time_ms(spec.from_),
            found.last + 1 if spec.to is None else time_ms(spec.to),
            found.rows_of,
            found.fingerprint,
            channel="trades",
        )

    def _find(self, connection: psycopg.Connection[Any]) -> ResolvedTrades:
        spec = self._spec
        named, selected = select_symbols(connection, spec, "trades")
        start = None if spec.from_ is None else time_ms(spec.from_)
        end = None if spec.to is None else time_ms(spec.to)
        found = resolve_trades(connection, spec.exchange, selected, start, end)
        missing = sorted(named - found.rows_of.keys())
        if missing or not found.rows_of:
            message = explain_missing(connection, "source.store", spec, missing or sorted(spec.symbols), "trades")
            raise InvalidReplay("NoTrades", message)
        return found

    def resume(self, dataset: Dataset) -> None:
        """Nothing to prepare: rows are queried while they are played."""

    def count(self, dataset: Dataset, v: int) -> int:
        end = min(dataset.end, v + 1)
        row = self._reader.query(
            lambda connection: connection.execute(
                _COUNT, (dataset.exchange, list(dataset.symbols), dataset.start, end)
            ).fetchone()
        )
        return int(row[0]) if row is not None else 0

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[TradeBlock]:
        selection = TradeSelection(dataset.exchange, dataset.symbols, dataset.start, dataset.end)

        def read(connection: psycopg.Connection[Any], bound: StartAfter | None) -> Iterator[TradeBlock]:
            key = None if bound is None else (bound.ts, bound.symbol, bound.trade)
            return read_trade_blocks(connection, selection, after=key)

        return self._reader.read(read, lambda block: bound_of(block, dataset, block.last_place), after)
