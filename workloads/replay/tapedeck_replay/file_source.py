"""Bars in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tapedeck.files import merged_bars
from tapedeck.market import Bar
from tapedeck.store.bars import Block
from tapedeck_crds.base import INTERVAL_MS, Files
from tapedeck_replay.file_records import census, refusing
from tapedeck_replay.tape import After, Tape

BLOCK_BARS = 5_000


class FileSource:
    """Bars of the files below a folder. They are read through once at the start, so that a bad row shows then."""

    def __init__(self, files: Files, root: Path, credentials: Path | None, pulse: Callable[[], None]) -> None:
        self._files = files
        self._root, self._credentials = root, credentials
        self._pulse = pulse

    def resolve(self) -> Tape:
        files = self._files
        seen = census(files, self._bars(), "bar", self._pulse)
        end = seen.last + INTERVAL_MS[files.interval]
        return Tape(files.exchange, seen.symbols, files.interval, seen.first, end, seen.rows, seen.check)

    def count(self, tape: Tape, v: int) -> int:
        return sum(bar.ts + tape.known_after <= v for bar in self._bars() if bar.symbol in tape.symbols)

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        series = {symbol: index for index, symbol in enumerate(tape.symbols)}
        bars = (bar for bar in self._bars() if bar.symbol in series)
        wanted = bars if after is None else (bar for bar in bars if (bar.ts, bar.symbol) > after)
        while part := list(islice(wanted, BLOCK_BARS)):
            yield _block(part, series)

    def _bars(self) -> Iterator[Bar]:
        with refusing():
            yield from merged_bars(self._files, self._root, self._credentials)


def _block(bars: list[Bar], series: dict[str, int]) -> Block:
    return Block(
        np.array([series[bar.symbol] for bar in bars], dtype=np.int64),
        np.array([bar.ts for bar in bars], dtype=np.int64),
        np.array([bar.open for bar in bars]),
        np.array([bar.high for bar in bars]),
        np.array([bar.low for bar in bars]),
        np.array([bar.close for bar in bars]),
        np.array([bar.volume for bar in bars]),
        np.array([bar.rev for bar in bars], dtype=np.int64),
    )
