"""Bars on their way to the strategy's process: columns of a stored range, and blocks of a stream as it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_backtest.protocol.messages import StepBlock, SymbolRows

ROWS_MAX = 65_536  # of a message: some 3 MB


def series_messages(series: Mapping[str, BarArrays]) -> Iterator[SymbolRows]:
    """The bars of each symbol in turn."""
    for columns in series.values():
        for first in range(0, len(columns.event), ROWS_MAX):
            part = columns.rows(slice(first, first + ROWS_MAX))
            yield SymbolRows(
                np.ascontiguousarray(part.event, dtype=np.int64).tobytes(),
                *(
                    np.ascontiguousarray(column, dtype=np.float64).tobytes()
                    for column in (part.open, part.high, part.low, part.close, part.volume)
                ),
            )


def step_blocks(steps: Sequence[TimeStep]) -> Iterator[tuple[StepBlock, int]]:
    """The steps as blocks, whole steps each, with the number of their bars."""
    rows: list[tuple[int, int, int, float, float, float, float, float]] = []
    for event, bars in steps:
        for feed, bar in bars:
            rows.append((event, feed, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume))
        if len(rows) >= ROWS_MAX:
            yield _block(rows), len(rows)
            rows = []
    if rows:
        yield _block(rows), len(rows)


def _block(rows: list[tuple[int, int, int, float, float, float, float, float]]) -> StepBlock:
    columns = list(zip(*rows, strict=True))
    times = (np.array(column, dtype=np.int64).tobytes() for column in columns[:3])
    prices = (np.array(column, dtype=np.float64).tobytes() for column in columns[3:])
    return StepBlock(*times, *prices)
