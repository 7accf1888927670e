"""Records encoded for the producer: keys and values as they are written to the log.

One call of the encoder for a whole chunk, and one split of its output, take half the time of a call for each record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import cast

import msgspec
import numpy as np

from tapedeck_common.market import Bar, OrderKey, Side, Trade, TradePlace, series_key
from tapedeck_common.store.bars import BarBlock
from tapedeck_common.store.trades import TradeBlock
from tapedeck_replay.source.dataset import Dataset, RecordBlock, ScheduledBars

# Small enough that encoding one holds the interpreter's lock for less than a millisecond.
CHUNK_RECORDS = 1_000

_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True)
class EncodedChunk:
    """Records in the order of publishing, one list item each.

    ``events`` are the virtual times at which they are published, milliseconds UTC: their event times, or later where a
    scenario delays them. ``series`` are indices into the dataset's symbols, ``places`` what distinguishes records of
    one time and symbol.
    """

    events: list[int]
    keys: list[bytes]
    values: list[bytes]
    series: list[int]
    places: list[int] | list[TradePlace]
    dataset: Dataset

    def __len__(self) -> int:
        return len(self.events)

    def order_key(self, index: int) -> OrderKey:
        """The order key of one record."""
        dataset = self.dataset
        symbol = dataset.symbols[self.series[index]]
        interval = dataset.interval if dataset.channel == "bars" else ""
        return (self.events[index], dataset.exchange, symbol, interval, self.places[index])


def encode_chunks(block: RecordBlock, dataset: Dataset) -> Iterator[EncodedChunk]:
    """The block's records in chunks of at most CHUNK_RECORDS."""
    keys = [series_key(dataset.exchange, symbol).encode() for symbol in dataset.symbols]
    for start in range(0, len(block), CHUNK_RECORDS):
        part = type(block)(*(column[start : start + CHUNK_RECORDS] for column in vars(block).values()))
        yield _encode_trades(part, dataset, keys) if isinstance(part, TradeBlock) else _encode_bars(part, dataset, keys)


def _encode_bars(part: BarBlock, dataset: Dataset, keys: list[bytes]) -> EncodedChunk:
    series, revs = part.series.tolist(), part.rev.tolist()
    bars = map(
        Bar,
        repeat(dataset.exchange),
        map(dataset.symbols.__getitem__, series),
        repeat(dataset.interval),
        part.ts.tolist(),
        part.open.tolist(),
        part.high.tolist(),
        part.low.tolist(),
        part.close.tolist(),
        part.volume.tolist(),
        repeat(True),
        revs,
    )
    values = _encode_values(bars)
    record_keys = list(map(keys.__getitem__, series))
    if isinstance(part, ScheduledBars):
        return EncodedChunk(part.at.tolist(), record_keys, values, series, part.turn.tolist(), dataset)
    events = dataset.events_of(np.asarray(part.ts)).tolist()
    return EncodedChunk(events, record_keys, values, series, revs, dataset)


def _encode_trades(part: TradeBlock, dataset: Dataset, keys: list[bytes]) -> EncodedChunk:
    series, times, numbers = part.series.tolist(), part.ts.tolist(), part.seq.tolist()
    trades = map(
        Trade,
        repeat(dataset.exchange),
        map(dataset.symbols.__getitem__, series),
        times,
        part.id,
        part.price.tolist(),
        part.amount.tolist(),
        cast("list[Side]", part.side),
        numbers,
    )
    record_keys = list(map(keys.__getitem__, series))
    places = list(zip(numbers, part.id, strict=True))
    return EncodedChunk(times, record_keys, _encode_values(trades), series, places, dataset)


def _encode_values(records: Iterable[Bar | Trade]) -> list[bytes]:
    values = _encode_lines(list(records)).split(b"\n")
    values.pop()  # empty: after the last line break
    return values
