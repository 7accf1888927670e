"""Valid trades of one file as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import get_args

from tapedeck_common.files.source_rows import Floats, ValidBlock
from tapedeck_common.files.timestamps import Int64s
from tapedeck_common.market import Side, Trade
from tapedeck_common.wire import encode_all

SIDE_CODES: tuple[Side, ...] = get_args(Side)
"""The sides by their codes in columns."""


@dataclass(frozen=True, eq=False)
class ValidTrades(ValidBlock):
    """Valid trades whose ids are numbers that count up, and whose times never fall: microseconds UTC, ids, prices,
    amounts and codes of sides, of shape (n,).
    """

    times: Int64s
    id_numbers: Int64s
    price: Floats
    amount: Floats
    side: Int64s

    @property
    def us(self) -> Int64s:
        return self.times

    @property
    def ts(self) -> Int64s:
        """The times in milliseconds UTC."""
        return self.times // 1_000

    def rises(self) -> bool:
        return bool((self.id_numbers[1:] > self.id_numbers[:-1]).all() and (self.times[1:] >= self.times[:-1]).all())

    def ids(self) -> Iterator[str]:
        return map(str, self.id_numbers.tolist())

    def values(self) -> list[bytes]:
        return encode_all(self.trades())

    def trades(self) -> list[Trade]:
        """The trades themselves."""
        exchange, symbol, _ = self.series
        columns = (self.price.tolist(), self.amount.tolist(), map(SIDE_CODES.__getitem__, self.side.tolist()))
        return list(map(Trade, repeat(exchange), repeat(symbol), self.ts.tolist(), self.ids(), *columns))
