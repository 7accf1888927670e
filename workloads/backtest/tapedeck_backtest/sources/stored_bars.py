"""Bars of a store range, whole, a set of arrays a symbol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.bars import Block, Resolved, Selection, read_blocks, resolve
from tapedeck_common.store.database import connect
from tapedeck_common.store.recorded import wait_recorded
from tapedeck_crds.base import INTERVAL_MS, StoreRange, format_ms, time_ms
from tapedeck_crds.errors import Unavailable

HISTORY_SPANS = (1, 4, 16, 64)  # times the length that the bars would have without holes
_retried = stamina.retry(on=psycopg.OperationalError, attempts=5, timeout=30.0, wait_max=3.0)


@_retried
def read(connections: Connections, wanted: StoreRange) -> dict[str, Columns]:
    """Columns by symbol, in the order of the spec. Raises RunFailed (NoBars), Unavailable and psycopg.Error."""
    symbols = tuple(dict.fromkeys(wanted.symbols))
    selection = Selection(
        wanted.exchange,
        symbols,
        wanted.interval,
        time_ms(wanted.from_) if wanted.from_ is not None else None,
        time_ms(wanted.to) if wanted.to is not None else None,
    )
    with _recorded(connections) as connection:
        resolved = resolve(connection, selection)
        if resolved.missing:
            raise RunFailed("NoBars", no_bars(wanted, resolved.missing))
        blocks = list(read_blocks(connection, resolved))
    columns = _columns(blocks, resolved)
    return {symbol: columns[symbol] for symbol in symbols}


@_retried
def history(
    connections: Connections, exchange: str, symbols: Sequence[str], interval: str, before: int, count: int
) -> dict[str, Columns]:
    """The last ``count`` bars of each symbol with opens before ``before`` (ms UTC).

    Raises RunFailed (NoHistory), Unavailable and psycopg.Error.
    """
    columns: dict[str, Columns] = {}
    with _recorded(connections) as connection:
        for span in HISTORY_SPANS:
            start = before - span * count * INTERVAL_MS[interval]
            resolved = resolve(connection, Selection(exchange, tuple(symbols), interval, start, before))
            blocks = list(read_blocks(connection, resolved))
            columns = _columns(blocks, resolved) if blocks else {}
            if columns and all(len(each.event) >= count for each in columns.values()):
                return {symbol: _last(columns[symbol], count) for symbol in symbols}
    found = {symbol: len(columns[symbol].event) if columns else 0 for symbol in symbols}
    short = ", ".join(f"{number} of {symbol}" for symbol, number in found.items() if number < count)
    raise RunFailed(
        "NoHistory",
        f"data.warmupBars: got {count}, but the store has only {short} ({exchange}, {interval}) shortly before "
        f"{format_ms(before)}",
    )


@contextmanager
def _recorded(connections: Connections) -> Iterator[psycopg.Connection]:
    """A connection, once what is on the log is in the store."""
    with connect(connections, name="tapedeck-backtest", autocommit=True) as connection:
        try:
            lacking = wait_recorded(connections, connection)
        except KafkaException as error:
            raise Unavailable(f"the broker does not say how far the recorder is: {error}") from error
        if lacking:
            log.warning("the recorder stands still: bars on the log are missing in the store", lacking=lacking)
        yield connection


def _last(columns: Columns, count: int) -> Columns:
    return Columns(**{name: array[-count:] for name, array in vars(columns).items()})


def no_bars(wanted: StoreRange, missing: tuple[str, ...]) -> str:
    """The message that names what is missing, and where."""
    start = format_ms(time_ms(wanted.from_)) if wanted.from_ is not None else "the first bar"
    end = format_ms(time_ms(wanted.to)) if wanted.to is not None else "the last"
    return (
        f"data.store: no {wanted.interval} bars of {', '.join(missing)} ({wanted.exchange}) "
        f"in the store from {start} to {end}"
    )


def _columns(blocks: list[Block], resolved: Resolved) -> dict[str, Columns]:
    chosen = resolved.selection
    columns: dict[str, Columns] = {}
    for index, symbol in enumerate(chosen.symbols):
        parts = [(block, block.series == index) for block in blocks]
        fields = {
            name: np.concatenate([getattr(block, name)[mask] for block, mask in parts])
            for name in ("ts", "open", "high", "low", "close", "volume")
        }
        columns[symbol] = Columns(event=fields.pop("ts") + INTERVAL_MS[chosen.interval], **fields)
    return columns
