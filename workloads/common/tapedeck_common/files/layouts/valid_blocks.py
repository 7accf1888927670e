"""Blocks of rows that are all valid, found by whole columns: most are, and the others are read row by row."""

from __future__ import annotations

from typing import Any, NamedTuple

from tapedeck_common.files.layouts.fields import PRICES
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.sides import MAKER, SIDES
from tapedeck_common.files.layouts.time_text import parser
from tapedeck_common.files.source_rows import Floats
from tapedeck_common.files.tables.table import ColumnBatch
from tapedeck_common.files.timestamps import FileTimes, Int64s
from tapedeck_common.files.valid_trades import SIDE_CODES
from tapedeck_crds.intervals import BarLength

_NUMBERS = frozenset((*PRICES, "volume", "price", "amount"))
ID_MAX = 10**18
"""Ids below have at most 18 digits."""


class ValidBarColumns(NamedTuple):
    """Valid bars: open times in milliseconds UTC and volumes, of shape (n,), and prices of shape (4, n) in the order
    open, high, low, close.
    """

    ts: Int64s
    prices: Floats
    volume: Floats


class ValidTradeColumns(NamedTuple):
    """Valid trades: times in microseconds UTC, ids, prices, amounts and codes of sides, of shape (n,)."""

    us: Int64s
    ids: Int64s
    price: Floats
    amount: Floats
    side: Int64s


def may_be_valid(reading: Reading, times: FileTimes, length: BarLength) -> bool:
    """Whether rows of a table can be found valid by whole columns."""
    if not (times.by_columns and len(reading.time.columns) == 1):
        return False
    if reading.kind == "trades":
        return {"id", "amount"} <= reading.columns.keys() and not reading.signed
    return reading.adjusted is None and not length.monthly


def column_types(reading: Reading) -> dict[int, Any]:
    """The types of the columns of a text in which programs write market data, by their places."""
    import pyarrow as pa

    if reading.time.parse not in (None, parser("ymd")):
        return {}
    types = {place: pa.float64() if field in _NUMBERS else pa.string() for field, place in reading.columns.items()}
    types |= dict.fromkeys(reading.time.columns, pa.int64() if reading.time.parse is None else pa.string())
    return types


def valid_bars(batch: ColumnBatch, reading: Reading, times: FileTimes, length: BarLength) -> ValidBarColumns | None:
    """The bars of a batch of a table that ``may_be_valid``; None where a row may be invalid or empty, or needs to be
    read by itself.
    """
    import numpy as np

    if not len(batch.numbers):
        return None
    us = _times(batch, reading, times)
    numbers = [_floats(batch.columns[reading.columns[name]]) for name in PRICES]
    volume = (
        _floats(batch.columns[reading.columns["volume"]])
        if "volume" in reading.columns
        else np.full(len(batch.numbers), reading.defaults.volume)
    )
    if us is None or volume is None or any(column is None for column in numbers):
        return None
    prices = np.stack([column for column in numbers if column is not None]) / reading.scale
    ts = us // 1_000
    if reading.time.stamp == "close":
        opened = ts - 1 - (ts - 1 - length.origin) % length.ms
        if not np.isin(opened + length.ms - ts, (0, 1)).all():
            return None
        ts = opened
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
    return ValidBarColumns(ts, prices, volume)


def valid_trades(batch: ColumnBatch, reading: Reading, times: FileTimes) -> ValidTradeColumns | None:
    """The trades of a batch of a table that ``may_be_valid``; None where one may be invalid, where times fall, or where
    ids are no numbers that count up.
    """
    import numpy as np

    if not len(batch.numbers):
        return None
    us, ids = _times(batch, reading, times), _ids(batch.columns[reading.columns["id"]])
    price, amount = (_floats(batch.columns[reading.columns[name]]) for name in ("price", "amount"))
    side = _sides(batch, reading)
    if us is None or ids is None or price is None or amount is None or side is None:
        return None
    price = price / reading.scale
    rise = (ids[1:] > ids[:-1]).all() and (us[1:] >= us[:-1]).all()
    # The sign of a price of 0 would depend on how the highest and lowest are found.
    sound = np.isfinite(price) & (price != 0) & np.isfinite(amount) & (amount > 0)
    return ValidTradeColumns(us, ids, price, amount, side) if rise and sound.all() else None


def _ids(column: Any) -> Int64s | None:
    """The numbers of ids; None where one is written otherwise, such as with a leading 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        return None
    try:
        numbers = column.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if not pa.types.is_integer(column.type) and not pc.all(pc.equal(numbers.cast(pa.string()), column)).as_py():
        return None
    found: Int64s = numbers.to_numpy(zero_copy_only=False)
    return found if found.min() >= 0 and found.max() < ID_MAX else None


def _sides(batch: ColumnBatch, reading: Reading) -> Int64s | None:
    """The codes of the takers' sides; None where a text is none of the known ones."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = SIDES if "side" in reading.columns else MAKER
    place = reading.columns.get("side", reading.columns.get("maker"))
    if place is None:
        return np.full(len(batch.numbers), SIDE_CODES.index(reading.defaults.side))
    try:
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(batch.columns[place].cast(pa.string())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    found = pc.index_in(texts, pa.array(known))
    codes = np.array([SIDE_CODES.index(side) for side in known.values()])
    return None if found.null_count else codes[found.to_numpy()]


def _times(batch: ColumnBatch, reading: Reading, times: FileTimes) -> Int64s | None:
    """The times of a column of numbers, timestamps or ISO 8601, microseconds UTC."""
    import pyarrow as pa

    column = batch.columns[reading.time.columns[0]]
    if column.null_count:
        return None
    try:
        if pa.types.is_integer(column.type) or (pa.types.is_string(column.type) and reading.time.parse is None):
            return times.of_numbers(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        if pa.types.is_string(column.type) and reading.time.parse is parser("ymd"):
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
