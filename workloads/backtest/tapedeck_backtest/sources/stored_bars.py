"""Bars of the store, as columns by symbol."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.bar_times import closes_of
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.bars import BarBlock, BarSelection, ResolvedBars, read_bar_blocks, resolve_bars
from tapedeck_common.store.catalogue import sessions
from tapedeck_common.store.database import connect
from tapedeck_common.store.missing_data import explain_missing
from tapedeck_common.store.recording_lag import wait_until_recorded
from tapedeck_crds.base import StoreRange, format_ms, time_ms
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import Session

HISTORY_SPANS = (1, 4, 16, 64)  # searched for history: multiples of the time that the bars cover without gaps
_retried = stamina.retry(on=psycopg.OperationalError, attempts=5, timeout=30.0, wait_max=3.0)


@_retried
def read_range(connections: Connections, range_: StoreRange) -> dict[str, BarArrays]:
    """Columns by symbol, in the order of the spec. Raises RunFailed (NoBars), Unavailable and psycopg.Error."""
    symbols = tuple(dict.fromkeys(range_.symbols))
    selection = BarSelection(
        range_.exchange,
        symbols,
        range_.interval,
        time_ms(range_.from_) if range_.from_ is not None else None,
        time_ms(range_.to) if range_.to is not None else None,
    )
    with _connect_when_recorded(connections) as connection:
        resolved = resolve_bars(connection, selection)
        if resolved.missing:
            raise RunFailed("NoBars", explain_missing(connection, "data.store", range_, resolved.missing, "bars"))
        blocks = list(read_bar_blocks(connection, resolved))
    columns = _columns(blocks, resolved)
    return {symbol: columns[symbol] for symbol in symbols}


@_retried
def read_sessions(connections: Connections, exchange: str, symbols: Sequence[str]) -> dict[str, Session]:
    """The sessions that the catalogue has of the symbols. Raises psycopg.Error."""
    with connect(connections, name="tapedeck-backtest") as connection:
        return sessions(connection, exchange, symbols)


def stored_limits(range_: StoreRange, series: Mapping[str, BarArrays]) -> Limits:
    """The limits of a range whose bars have been read: its own, and for its end the clock."""
    known = max(time.time_ns() // 1_000_000, *(int(columns.event[-1]) for columns in series.values()))
    return Limits(
        None if range_.from_ is None else time_ms(range_.from_),
        known if range_.to is None else min(known, time_ms(range_.to)),
    )


@_retried
def read_history(
    connections: Connections, exchange: str, symbols: Sequence[str], interval: str, before: int, count: int
) -> dict[str, BarArrays]:
    """The last ``count`` bars of each symbol with opens before ``before`` (ms UTC).

    Raises RunFailed (NoHistory), Unavailable and psycopg.Error.
    """
    columns: dict[str, BarArrays] = {}
    with _connect_when_recorded(connections) as connection:
        for span in HISTORY_SPANS:
            start = before - span * count * BAR_LENGTHS[interval].ms
            resolved = resolve_bars(connection, BarSelection(exchange, tuple(symbols), interval, start, before))
            blocks = list(read_bar_blocks(connection, resolved))
            columns = _columns(blocks, resolved) if blocks else {}
            if columns and all(len(each.event) >= count for each in columns.values()):
                return {symbol: columns[symbol].rows(slice(-count, None)) for symbol in symbols}
    found = {symbol: len(columns[symbol].event) if columns else 0 for symbol in symbols}
    short = ", ".join(f"{number} of {symbol}" for symbol, number in found.items() if number < count)
    raise RunFailed(
        "NoHistory",
        f"data.warmupBars: got {count}, but the store has only {short} ({exchange}, {interval}) shortly before "
        f"{format_ms(before)}",
    )


@contextmanager
def _connect_when_recorded(connections: Connections) -> Iterator[psycopg.Connection]:
    """A connection to the store, once the recorder has written what is on the topics."""
    with connect(connections, name="tapedeck-backtest") as connection:
        try:
            lag = wait_until_recorded(connections, connection)
        except KafkaException as error:
            raise Unavailable(f"broker: the recorder's lag cannot be determined: {error}") from error
        if lag:
            log.warning("the recorder makes no progress: the store lacks bars that are on the topics", lag=lag)
        yield connection


def _columns(blocks: list[BarBlock], resolved: ResolvedBars) -> dict[str, BarArrays]:
    selection = resolved.selection
    columns: dict[str, BarArrays] = {}
    for index, symbol in enumerate(selection.symbols):
        parts = [(block, block.series == index) for block in blocks]
        fields = {
            name: np.concatenate([getattr(block, name)[mask] for block, mask in parts])
            for name in ("ts", "open", "high", "low", "close", "volume")
        }
        columns[symbol] = BarArrays(event=closes_of(BAR_LENGTHS[selection.interval], fields.pop("ts")), **fields)
    return columns
