"""Valid bars of one file as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from tapedeck_common.files.source_rows import Floats, ValidBlock
from tapedeck_common.files.timestamps import Int64s
from tapedeck_common.market import Bar
from tapedeck_common.wire import encode_all


@dataclass(frozen=True, eq=False)
class ValidBars(ValidBlock):
    """Valid bars: open times in milliseconds UTC and volumes, of shape (n,), and prices of shape (4, n) in the order
    open, high, low, close.
    """

    ts: Int64s
    prices: Floats
    volume: Floats

    @property
    def us(self) -> Int64s:
        return self.ts * 1_000

    def rises(self) -> bool:
        return bool((self.ts[1:] > self.ts[:-1]).all())

    def ids(self) -> Iterator[str]:
        return repeat("", len(self))

    def values(self) -> list[bytes]:
        return encode_all(self.bars())

    def bars(self) -> list[Bar]:
        """The bars themselves."""
        columns = (self.ts, *self.prices, self.volume)
        return list(map(Bar, *map(repeat, self.series), *(column.tolist() for column in columns)))
