"""Trades in files."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tapedeck.files import BadFiles, FilesUnavailable, merged_trades
from tapedeck.market import Trade
from tapedeck.store.trades import TradeBlock
from tapedeck.wire import encode
from tapedeck_crds.base import Files
from tapedeck_replay.tape import After, BadInput, Tape, Unavailable

BLOCK_TRADES = 5_000


class FileTrades:
    """Trades of the files below a folder, read through once at the start, so that a bad row shows then."""

    def __init__(self, files: Files, root: Path, credentials: Path | None, pulse: Callable[[], None]) -> None:
        self._files = files
        self._root, self._credentials = root, credentials
        self._pulse = pulse

    def resolve(self) -> Tape:
        rows: Counter[str] = Counter()
        checks: Counter[str] = Counter()
        first = last = None
        for trade in self._trades():
            rows[trade.symbol] += 1
            checks[trade.symbol] = zlib.crc32(encode(trade), checks[trade.symbol])
            first, last = trade.ts if first is None else first, trade.ts
            if rows[trade.symbol] % BLOCK_TRADES == 0:
                self._pulse()
        symbols = tuple(sorted({chosen.symbol for chosen in self._files.sets}))
        if first is None or last is None or any(symbol not in rows for symbol in symbols):
            missing = ", ".join(symbol for symbol in symbols if symbol not in rows)
            raise BadInput("NoTrades", f"source.files.sets: got files without a trade of {missing}, expected some")
        check = ";".join(f"{symbol}={rows[symbol]}:{checks[symbol]:08x}" for symbol in symbols)
        interval = self._files.interval
        return Tape(self._files.exchange, symbols, interval, first, last + 1, dict(rows), check, channel="trades")

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
        try:
            yield from merged_trades(self._files, self._root, self._credentials)
        except BadFiles as error:
            raise BadInput("BadFiles", str(error)) from error
        except FilesUnavailable as error:
            raise Unavailable(str(error)) from error
