"""Bars and trades made ready for the producer: keys and values as they go onto the log.

One call of the encoder for a whole chunk, and one to cut it up, cost half of what a call for each
record does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import cast

import msgspec
import numpy as np

from tapedeck_common.market import Bar, OrderKey, Side, Trade, series_key
from tapedeck_common.store.bars import Block
from tapedeck_common.store.trades import TradeBlock
from tapedeck_replay.tape import Rows, Scheduled, Tape

# Small enough that encoding one holds the interpreter for less than a millisecond.
CHUNK_BARS = 1_000

_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True)
class Chunk:
    """Records in the order of publishing. ``events`` are when they are due: their event times, milliseconds UTC,
    or later where a scenario delays them. ``ids`` are what tells those of one time and symbol apart.
    """

    events: list[int]
    keys: list[bytes]
    values: list[bytes]
    series: list[int]
    ids: list[int] | list[str]
    tape: Tape

    def __len__(self) -> int:
        return len(self.events)

    def order_key(self, index: int) -> OrderKey:
        """The place of one record in the order of publishing."""
        tape = self.tape
        symbol = tape.symbols[self.series[index]]
        interval = tape.interval if tape.channel == "bars" else ""
        return (self.events[index], tape.exchange, symbol, interval, self.ids[index])


def chunks_of(block: Rows, tape: Tape) -> Iterator[Chunk]:
    """The block's records in chunks."""
    keys = [series_key(tape.exchange, symbol).encode() for symbol in tape.symbols]
    for start in range(0, len(block), CHUNK_BARS):
        part = type(block)(*(column[start : start + CHUNK_BARS] for column in vars(block).values()))
        yield _of_trades(part, tape, keys) if isinstance(part, TradeBlock) else _of_bars(part, tape, keys)


def _of_bars(part: Block, tape: Tape, keys: list[bytes]) -> Chunk:
    series, revs = part.series.tolist(), part.rev.tolist()
    bars = map(
        Bar,
        repeat(tape.exchange),
        map(tape.symbols.__getitem__, series),
        repeat(tape.interval),
        part.ts.tolist(),
        part.open.tolist(),
        part.high.tolist(),
        part.low.tolist(),
        part.close.tolist(),
        part.volume.tolist(),
        repeat(True),
        revs,
    )
    values = _lines(bars)
    names = list(map(keys.__getitem__, series))
    if isinstance(part, Scheduled):
        return Chunk(part.at.tolist(), names, values, series, part.turn.tolist(), tape)
    events = (np.asarray(part.ts) + tape.known_after).tolist()
    return Chunk(events, names, values, series, revs, tape)


def _of_trades(part: TradeBlock, tape: Tape, keys: list[bytes]) -> Chunk:
    series, times = part.series.tolist(), part.ts.tolist()
    trades = map(
        Trade,
        repeat(tape.exchange),
        map(tape.symbols.__getitem__, series),
        times,
        part.id,
        part.price.tolist(),
        part.amount.tolist(),
        cast("list[Side]", part.side),
    )
    return Chunk(times, list(map(keys.__getitem__, series)), _lines(trades), series, part.id, tape)


def _lines(records: Iterable[Bar | Trade]) -> list[bytes]:
    values = _encode_lines(list(records)).split(b"\n")
    values.pop()  # behind the last line break
    return values
