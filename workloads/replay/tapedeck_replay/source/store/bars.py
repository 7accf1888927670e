"""Bars from the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from tapedeck_common.settings import Connections
from tapedeck_common.store.bars import BarBlock, BarSelection, ResolvedBars, count_bars, read_bar_blocks, resolve_bars
from tapedeck_common.store.missing_data import explain_missing
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.base import time_ms
from tapedeck_crds.source import StoredBars
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import Dataset, StartAfter
from tapedeck_replay.source.store.reader import StoreReader, bound_of, select_symbols

WINDOW_ROWS = 20_000  # what the database sorts in memory


class StoreBarSource:
    """Bars of a range of the store."""

    def __init__(self, connections: Connections, spec: StoredBars, name: str) -> None:
        self._spec = spec
        self._reader = StoreReader(connections, name)

    def resolve(self) -> Dataset:
        spec = self._spec
        self._reader.wait_recorded(MARKET_BARS)
        found = self._reader.query(self._resolve)
        symbols = tuple(symbol for symbol in found.selection.symbols if symbol not in found.missing)
        rows = {symbol: found.rows_of[symbol] for symbol in symbols}
        return Dataset(
            spec.exchange,
            symbols,
            spec.interval,
            found.start,
            found.end,
            rows,
            found.fingerprint,
            built_from=found.built_from,
        )

    def _resolve(self, connection: psycopg.Connection[Any]) -> ResolvedBars:
        spec = self._spec
        named, selected = select_symbols(connection, spec, "bars")
        selection = BarSelection(
            spec.exchange,
            selected,
            spec.interval,
            None if spec.from_ is None else time_ms(spec.from_),
            None if spec.to is None else time_ms(spec.to),
        )
        found = resolve_bars(connection, selection)
        missing = [symbol for symbol in found.missing if symbol in named]
        if missing or not found.rows:
            message = explain_missing(connection, "source.store", spec, missing or sorted(spec.symbols), "bars")
            raise InvalidReplay("NoBars", message)
        return found

    def resume(self, dataset: Dataset) -> None:
        """Nothing to prepare: rows are queried while they are played."""

    def count(self, dataset: Dataset, v: int) -> int:
        end = min(dataset.end, dataset.time_of(v) + 1)
        return self._reader.query(lambda connection: count_bars(connection, _resolved(dataset), end))

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        resolved = _resolved(dataset)

        def read(connection: psycopg.Connection[Any], bound: StartAfter | None) -> Iterator[BarBlock]:
            key = None if bound is None else bound[:2]
            return read_bar_blocks(connection, resolved, after=key, window_rows=WINDOW_ROWS)

        return self._reader.read(read, lambda block: bound_of(block, dataset), after)


def _resolved(dataset: Dataset) -> ResolvedBars:
    selection = BarSelection(dataset.exchange, dataset.symbols, dataset.interval, dataset.start, dataset.end)
    built_from = {symbol: dataset.built_from[symbol] for symbol in dataset.symbols if symbol in dataset.built_from}
    return ResolvedBars(selection, dataset.start, dataset.end, dataset.rows_by_symbol, dataset.fingerprint, built_from)
