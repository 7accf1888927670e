"""Bars in files."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tapedeck.files import BadFiles, FilesUnavailable, merged_bars
from tapedeck.market import Bar
from tapedeck.store.bars import Block
from tapedeck.wire import encode
from tapedeck_crds.base import INTERVAL_MS, Files
from tapedeck_replay.tape import After, BadInput, Tape, Unavailable

BLOCK_BARS = 5_000


class FileSource:
    """Bars of the files below a folder. They are read through once at the start, so that a bad row shows then."""

    def __init__(self, files: Files, root: Path, credentials: Path | None, pulse: Callable[[], None]) -> None:
        self._files = files
        self._root, self._credentials = root, credentials
        self._pulse = pulse

    def resolve(self) -> Tape:
        rows: Counter[str] = Counter()
        checks: Counter[str] = Counter()
        first = last = None
        for bar in self._bars():
            rows[bar.symbol] += 1
            checks[bar.symbol] = zlib.crc32(encode(bar), checks[bar.symbol])
            first, last = bar.ts if first is None else first, bar.ts
            if rows[bar.symbol] % BLOCK_BARS == 0:
                self._pulse()
        symbols = tuple(sorted({chosen.symbol for chosen in self._files.sets}))
        if first is None or last is None or any(symbol not in rows for symbol in symbols):
            missing = ", ".join(symbol for symbol in symbols if symbol not in rows)
            raise BadInput("NoBars", f"source.files.sets: got files without a bar of {missing}, expected some of each")
        return Tape(
            self._files.exchange,
            symbols,
            self._files.interval,
            first,
            last + INTERVAL_MS[self._files.interval],
            dict(rows),
            ";".join(f"{symbol}={rows[symbol]}:{checks[symbol]:08x}" for symbol in symbols),
        )

    def count(self, tape: Tape, v: int) -> int:
        return sum(bar.ts + tape.known_after <= v for bar in self._bars() if bar.symbol in tape.symbols)

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        series = {symbol: index for index, symbol in enumerate(tape.symbols)}
        bars = (bar for bar in self._bars() if bar.symbol in series)
        wanted = bars if after is None else (bar for bar in bars if (bar.ts, bar.symbol) > after)
        while part := list(islice(wanted, BLOCK_BARS)):
            yield _block(part, series)

    def _bars(self) -> Iterator[Bar]:
        try:
            yield from merged_bars(self._files, self._root, self._credentials)
        except BadFiles as error:
            raise BadInput("BadFiles", str(error)) from error
        except FilesUnavailable as error:
            raise Unavailable(str(error)) from error


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
