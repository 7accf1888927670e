"""Whether the bars of a file are of the interval that they are read as: from the distances between their open times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_crds.base import described_ms
from tapedeck_crds.intervals import BAR_LENGTHS

if TYPE_CHECKING:
    from tapedeck_common.files.timestamps import Int64s
    from tapedeck_common.files.valid_bars import ValidBars

CONSTANT_MAX = 24  # so many consecutive bars at the distance of a longer interval are bars of that interval
CHANCE_MAX = 1_000_000  # that quiet minutes are on a coarser grid by chance is less likely than one in so many
_SHORTEST_MONTH = 28 * 86_400_000
_INTERVALS = {length.ms: name for name, length in BAR_LENGTHS.items()}
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


class Spacing:
    """The distances between the open times of one file's bars, or of all files of a symbol, in any order.

    Bars may be missing anywhere. So a long distance proves nothing, but many distances do that are all multiples of a
    longer interval. Most distances are shorter than the interval only where the bars are.
    """

    def __init__(self, interval: str, name: str) -> None:
        self._interval, self._step = interval, min(BAR_LENGTHS[interval].ms, _SHORTEST_MONTH)
        self._name = name
        self._first: int | None = None
        self._last: int | None = None
        self._count = self._shorter = self._shortest = 0
        self._divisor = 0
        self._run = self._run_distance = 0

    def add(self, ts: int) -> None:
        """Add a bar's open time, milliseconds UTC. Raises InvalidFiles as soon as the bars are of another interval."""
        last, self._last = self._last, ts
        if last is None:
            self._first = ts
            return
        if ts == last:
            return
        distance = abs(ts - last)
        self._count += 1
        self._divisor = math.gcd(self._divisor, distance)
        if distance < self._step:
            self._shorter += 1
            self._shortest = min(self._shortest, distance) if self._shortest else distance
        self._run = self._run + 1 if distance == self._run_distance else 1
        self._run_distance = distance
        if self._run >= CONSTANT_MAX and distance > self._step and distance in _INTERVALS:
            raise self._error(distance, f"{self._run} consecutive bars up to {described_ms(ts)} are")

    def add_all(self, times: Int64s) -> None:
        """Add open times in their order, shape (n,). Raises InvalidFiles as ``add``."""
        import numpy as np

        before = [] if self._last is None else [self._last]
        distances = np.abs(np.diff(np.concatenate([np.array(before, np.int64), times])))
        distances = distances[distances > 0]
        if not len(distances) or self._may_be_constant(distances):
            for ts in times.tolist():
                self.add(ts)
            return
        self._first, self._last = times[0].item() if self._first is None else self._first, times[-1].item()
        self._count += len(distances)
        self._divisor = math.gcd(self._divisor, int(np.gcd.reduce(distances)))
        if len(shorter := distances[distances < self._step]):
            self._shorter += len(shorter)
            self._shortest = min(filter(None, (self._shortest, int(shorter.min()))))
        self._run, self._run_distance = 0, 0

    def _may_be_constant(self, distances: Int64s) -> bool:
        """Whether so many of the distances are longer than the interval that a constant one may be among them."""
        return bool((distances > self._step).sum() >= CONSTANT_MAX // 2)

    def include(self, file: Spacing) -> None:
        """Add the bars of one of the symbol's files."""
        if file._first is None or file._last is None:
            return
        last, self._last = self._last, file._last
        if last is not None and file._first != last:
            self._divisor = math.gcd(self._divisor, abs(file._first - last))
            self._count += 1
        self._divisor = math.gcd(self._divisor, file._divisor)
        self._count += file._count
        self._shorter += file._shorter
        self._shortest = min(filter(None, (self._shortest, file._shortest)), default=0)

    def check(self) -> None:
        """Raises InvalidFiles where the bars are of another interval."""
        if self._shorter * 2 > self._count:
            raise self._error(self._shortest, "most of its bars are")
        if self._count < 2 or self._divisor <= self._step:
            return  # one distance proves nothing: it divides itself
        if self._count * math.log(self._divisor / self._step) > math.log(CHANCE_MAX):
            raise self._error(self._divisor, f"its {self._count + 1} bars are multiples of")

    def _error(self, distance: int, what: str) -> InvalidFiles:
        found = _INTERVALS.get(distance)
        length = found or _length(distance)
        advice = f"set interval: {found}" if found else f"expected bars of one of {', '.join(BAR_LENGTHS)}"
        return InvalidFiles(
            f"{self._name}: interval: got {self._interval}, expected {length}: {what} {length} apart; {advice}, and "
            "give files of other intervals a source of their own"
        )


class SymbolSpacings:
    """The spacing of each symbol in a file, or in all files."""

    def __init__(self, interval: str, name: str) -> None:
        self._interval, self._name = interval, name
        self._by_symbol: dict[str, Spacing] = {}

    def add(self, symbol: str, ts: int) -> None:
        """Add a bar's open time, milliseconds UTC. Raises InvalidFiles as ``Spacing.add``."""
        self._of(symbol).add(ts)

    def add_block(self, block: ValidBars) -> None:
        """Add the open times of a block of bars. Raises InvalidFiles as ``Spacing.add``."""
        self._of(block.series.symbol).add_all(block.ts)

    def include(self, file: SymbolSpacings) -> None:
        """Add the bars of one of the files."""
        for symbol, spacing in file._by_symbol.items():
            self._of(symbol).include(spacing)

    def check(self) -> None:
        """Raises InvalidFiles where the bars of a symbol are of another interval."""
        for spacing in self._by_symbol.values():
            spacing.check()

    def _of(self, symbol: str) -> Spacing:
        found = self._by_symbol.get(symbol)
        if found is None:
            found = self._by_symbol[symbol] = Spacing(self._interval, self._name)
        return found


def _length(ms: int) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS.items() if ms % size == 0)
    return f"{ms // size}{unit}"
