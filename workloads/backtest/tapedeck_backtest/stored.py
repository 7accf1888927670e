"""Bars of a store range, whole, a set of arrays a symbol."""

from __future__ import annotations

import numpy as np
import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck.logs import log
from tapedeck.settings import Connections
from tapedeck.store.bars import Block, Resolved, Selection, read_blocks, resolve
from tapedeck.store.database import connect
from tapedeck.store.recorded import wait_recorded
from tapedeck_backtest.errors import RunFailed, Unavailable
from tapedeck_backtest.feeds import Columns
from tapedeck_crds.base import INTERVAL_MS, StoreRange, format_ms, time_ms


@stamina.retry(on=psycopg.OperationalError, attempts=5, timeout=30.0, wait_max=3.0)
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
    with connect(connections, name="tapedeck-backtest", autocommit=True) as connection:
        try:
            lacking = wait_recorded(connections, connection)
        except KafkaException as error:
            raise Unavailable(f"the broker does not say how far the recorder is: {error}") from error
        if lacking:
            log.warning("the recorder stands still: bars on the log are missing in the store", lacking=lacking)
        resolved = resolve(connection, selection)
        if resolved.missing:
            raise RunFailed("NoBars", no_bars(wanted, resolved.missing))
        blocks = list(read_blocks(connection, resolved))
    columns = _columns(blocks, resolved)
    return {symbol: columns[symbol] for symbol in symbols}


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
