"""Trades in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tapedeck.files import merged_trades
from tapedeck.market import Trade
from tapedeck.store.trades import TradeBlock
from tapedeck_crds.base import Files
from tapedeck_replay.file_records import census, refusing
from tapedeck_replay.tape import After, Tape

BLOCK_TRADES = 5_000


class FileTrades:
    """Trades of the files below a folder, read through once at the start, so that a bad row shows then."""

    def __init__(self, files: Files, root: Path, credentials: Path | None, pulse: Callable[[], None]) -> None:
        self._files = files
        self._root, self._credentials = root, credentials
        self._pulse = pulse

    def resolve(self) -> Tape:
        files = self._files
        seen = census(files, self._trades(), "trade", self._pulse)
        return Tape(
            files.exchange, seen.symbols, files.interval, seen.first, seen.last + 1, seen.rows, seen.check,
            channel="trades",
        )  # fmt: skip

    def count(self, tape: Tape, v: int) -> int:
        return sum(trade.ts <= v for trade in self._trades() if trade.symbol in tape.symbols)

    def blocks(self, tape: Tape, after: After | None) -> Iterator[TradeBlock]:
        series = {symbol: index for index, symbol in enumerate(tape.symbols)}
        trades = (trade for trade in self._trades() if trade.symbol in series)
        if after is not None:
            place = (after.ts, after.symbol, len(str(after.id)), str(after.id))
            trades = (each for each in trades if (each.ts, each.symbol, len(each.id), each.id) > place)
        while part := list(islice(trades, BLOCK_TRADES)):
            yield TradeBlock(
                np.array([series[trade.symbol] for trade in part], dtype=np.int64),
                np.array([trade.ts for trade in part], dtype=np.int64),
                [trade.id for trade in part],
                np.array([trade.price for trade in part]),
                np.array([trade.amount for trade in part]),
                [trade.side for trade in part],
            )

    def _trades(self) -> Iterator[Trade]:
        with refusing():
            yield from merged_trades(self._files, self._root, self._credentials)
