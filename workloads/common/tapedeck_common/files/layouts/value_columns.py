"""Which column is what in a table of bars without names: from its values alone."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck_common.files.layouts.fields import Field

Numbers = list[float]
ROWS_MIN = 3


def bar_columns(rows: Sequence[Sequence[float | None]], time: int) -> dict[Field, int] | None:
    """The columns of open, high, low, close and volume beside that of the time; None if the values are none of bars.

    In every row one column is the highest and one the lowest of four neighbours. Of the two between, open comes
    before close: nothing in a row says which is which.
    """
    width = min(map(len, rows), default=0)
    for first in range(width - 3):
        places = range(first, first + 4)
        if time in places:
            continue
        prices = [[row[place] for place in places] for row in rows]
        whole = [[p for p in row if p is not None] for row in prices]
        filled = [row for row in whole if len(row) == 4 and all(p == p for p in row)]
        if len(filled) < ROWS_MIN:
            continue
        if order := _order(filled):
            high, low, open_, close = (first + place for place in order)
            found: dict[Field, int] = {"ts": time, "open": open_, "high": high, "low": low, "close": close}
            volume = _volume(rows, first + 4, time, (low, high))
            return found if volume is None else found | {"volume": volume}
    return None


def _order(rows: Sequence[Numbers]) -> tuple[int, int, int, int] | None:
    """The places of high, low, open and close."""
    highs = [place for place in range(4) if all(row[place] == max(row) for row in rows)]
    lows = [place for place in range(4) if all(row[place] == min(row) for row in rows)]
    pairs = [(high, low) for high in highs for low in lows if high != low]
    if len(pairs) != 1:
        return None
    high, low = pairs[0]
    open_, close = (place for place in range(4) if place not in (high, low))
    return high, low, open_, close


def _volume(rows: Sequence[Sequence[float | None]], place: int, time: int, spread: tuple[int, int]) -> int | None:
    """The column after the prices, if it is not the time and none of its values is negative.

    One whose values are all between the lowest and the highest price is an average price, if another follows.
    """
    low, high = spread
    if all(len(row) > place + 1 and _between(row[low], row[place], row[high]) for row in rows):
        place += 1
    if place == time or any(len(row) <= place for row in rows):
        return None
    values = [row[place] for row in rows]
    return place if all(value is None or value != value or value >= 0 for value in values) else None


def _between(low: float | None, value: float | None, high: float | None) -> bool:
    return low is not None and value is not None and high is not None and low <= value <= high
