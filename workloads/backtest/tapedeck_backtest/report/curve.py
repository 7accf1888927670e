"""The equity curve as it is kept: what each step means beside the account, and which steps of a long run.

A chunk's figures follow from the steps before it alone, so a run done again tells the same, however it is cut.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import isfinite, nan

import numpy as np

from tapedeck_backtest.report.metrics import YEAR_MS, Returns, period_of
from tapedeck_common.records import RunEquity
from tapedeck_common.store.bars import Floats, Ints

POINTS_MAX = 100_000
ROLLING = 720  # periods: thirty days of hours
ROLLING_MIN = 24


def stride(steps: int) -> int:
    """How many steps share a stretch, so that three of each make about POINTS_MAX; 1 keeps every step."""
    return 1 if steps <= POINTS_MAX else -(-steps * 3 // POINTS_MAX)


@dataclass
class Curve:
    """``start`` is the account before the first step. Of ``every`` steps the lowest, the highest and the last stay."""

    run_id: str
    start: float
    interval_ms: int
    every: int = 1
    _before: float = 0.0
    _peak: float = 0.0
    _closed: float = 0.0
    _period: int | None = None
    _returns: deque[float] = field(default_factory=lambda: deque(maxlen=ROLLING))
    _sharpe: float = nan

    def __post_init__(self) -> None:
        self._peak = self._closed = self._before = self.start

    def extend(self, seq: int, ts: Ints, value: Floats, cash: Floats) -> RunEquity:
        """The record of steps ``seq``, ``seq``+1, …, which follow the ones before without a hole."""
        before = np.concatenate(([self._before], value[:-1]))
        peaks = np.maximum.accumulate(np.maximum(value, self._peak))
        sharpe = self._rolling(ts, value, before)
        self._before, self._peak = float(value[-1]), float(peaks[-1])
        kept = _extremes(seq, value, self.every)
        return RunEquity(
            self.run_id,
            seq,
            ts[kept].tolist(),
            value[kept].tolist(),
            cash[kept].tolist(),
            [] if self.every == 1 else kept.tolist(),
            _percents((value - before)[kept], before[kept]),
            _percents((peaks - value)[kept], peaks[kept]),
            [each if isfinite(each) else None for each in sharpe[kept].tolist()],
        )

    def _rolling(self, ts: Ints, value: Floats, before: Floats) -> Floats:
        """At each step the Sharpe ratio of the whole periods before its own, ROLLING at most."""
        periods = (ts - 1) // period_of(self.interval_ms)
        if self._period is None:
            self._period = int(periods[0])
        result = np.full(len(ts), self._sharpe)
        for turn in np.flatnonzero(np.diff(periods, prepend=self._period)).tolist():
            self._close(int(periods[turn]), float(before[turn]))
            result[turn:] = self._sharpe
        return result

    def _close(self, period: int, value: float) -> None:
        """A period began: the one before ended at ``value``, those between had no bars."""
        self._returns.append(value / self._closed - 1 if self._closed > 0 else nan)
        self._returns.extend([0.0] * min(period - (self._period or 0) - 1, ROLLING))
        self._period, self._closed, self._sharpe = period, value, nan
        if len(self._returns) >= ROLLING_MIN:
            rolling = Returns(np.array(self._returns), YEAR_MS / period_of(self.interval_ms)).sharpe()
            self._sharpe = nan if rolling is None else rolling


def _extremes(seq: int, value: Floats, every: int) -> Ints:
    """Indices of the first step of a run, and of each stretch's lowest, highest and last."""
    if every == 1:
        return np.arange(len(value))
    kept = {0} if seq == 0 else set()
    for first in range(0, len(value), every):
        stretch = value[first : first + every]
        kept |= {first + int(i) for i in (np.argmin(stretch), np.argmax(stretch), len(stretch) - 1)}
    return np.array(sorted(kept), dtype=np.int64)


def _percents(part: Floats, whole: Floats) -> list[float | None]:
    """part / whole × 100; None of a whole that is not above 0."""
    pairs = zip(part.tolist(), whole.tolist(), strict=True)
    return [100 * each / of if of > 0 else None for each, of in pairs]
