"""Blocks of rows that are all valid, found by whole columns: most are, and the others are read row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tapedeck_common.files.layouts.fields import PRICES
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.tables.table import ColumnBatch
from tapedeck_common.files.timestamps import FileTimes, Int64s
from tapedeck_crds.intervals import BarLength

if TYPE_CHECKING:
    import numpy as np

Floats: TypeAlias = "np.typing.NDArray[np.float64]"


class ValidColumns(NamedTuple):
    """Valid bars: times of the file in microseconds UTC and their open times in milliseconds, shape (n,); prices of
    shape (4, n) in the order open, high, low, close; volumes of shape (n,).
    """

    us: Int64s
    ts: Int64s
    prices: Floats
    volume: Floats


def valid_bars(batch: ColumnBatch, reading: Reading, times: FileTimes, length: BarLength) -> ValidColumns | None:
    """The bars of a batch; None where a row may be invalid or empty, or needs to be read by itself."""
    import numpy as np

    if reading.adjusted is not None or length.monthly or not len(batch.numbers):
        return None
    us = _times(batch, reading, times)
    numbers = [_floats(batch.columns[reading.columns[name]]) for name in PRICES]
    volume = (
        _floats(batch.columns[reading.columns["volume"]])
        if "volume" in reading.columns
        else np.zeros(len(batch.numbers))
    )
    if us is None or volume is None or any(column is None for column in numbers):
        return None
    prices = np.stack([column for column in numbers if column is not None]) / reading.scale
    ts = us // 1_000
    if reading.time.stamp == "close":
        opened = ts - 1 - (ts - 1 - length.origin) % length.ms
        if not np.isin(opened + length.ms - ts, (0, 1)).all():
            return None
        us, ts = us - (ts - opened) * 1_000, opened
    open_, high, low, close = prices
    sound = (
        (us % 1_000 == 0)
        & ((ts - length.origin) % length.ms == 0)
        & (low <= np.minimum(open_, close))
        & (np.maximum(open_, close) <= high)
        & (volume >= 0)
    )
    if not (sound.all() and np.isfinite(prices).all() and np.isfinite(volume).all()):
        return None
    return ValidColumns(us, ts, prices, volume)


def _times(batch: ColumnBatch, reading: Reading, times: FileTimes) -> Int64s | None:
    """The times of a column of numbers, timestamps or ISO 8601, microseconds UTC."""
    import pyarrow as pa

    if len(reading.time.columns) != 1:
        return None
    column = batch.columns[reading.time.columns[0]]
    if column.null_count:
        return None
    try:
        if pa.types.is_integer(column.type) or (pa.types.is_string(column.type) and reading.time.parse is None):
            return times.of_numbers(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        if pa.types.is_string(column.type):
            column = column.cast(pa.timestamp("us", "UTC"))  # raises where a time has no offset
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            return times.of_instants(
                column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False)
            )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return None


def _floats(column: Any) -> Floats | None:
    """The numbers of a column; None where one of its values is none."""
    import pyarrow as pa

    if column.null_count:
        return None
    try:
        found: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return found
