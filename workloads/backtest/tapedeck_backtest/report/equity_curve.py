"""The equity curve as it is recorded: figures of each step, and which steps of a long run are kept.

The figures of a chunk follow from the steps before it alone, so a repeated run records the same, however it is cut.
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
ROLLING = 720  # periods of the rolling Sharpe ratio: thirty days of hours
ROLLING_MIN = 24


def stride(steps: int) -> int:
    """Steps per stretch of a run of this length, of which three are kept: about POINTS_MAX in all; 1 keeps all."""
    return 1 if steps <= POINTS_MAX else -(-steps * 3 // POINTS_MAX)


@dataclass
class EquityCurve:
    """``start`` is the account's value before the first step, in quote currency.

    Of each ``every`` steps the lowest, the highest and the last are kept.
    """

    run_id: str
    start: float
    interval_ms: int
    every: int = 1
    _last_value: float = 0.0
    _peak: float = 0.0
    _period_close: float = 0.0  # value at the end of the last complete period
    _period: int | None = None  # number of the current period since the epoch
    _returns: deque[float] = field(default_factory=lambda: deque(maxlen=ROLLING))
    _sharpe: float = nan

    def __post_init__(self) -> None:
        self._peak = self._period_close = self._last_value = self.start

    def extend(self, seq: int, ts: Ints, value: Floats, cash: Floats) -> RunEquity:
        """The record of steps ``seq``, ``seq``+1, …, which must follow the previous chunk without a gap."""
        before = np.concatenate(([self._last_value], value[:-1]))
        peaks = np.maximum.accumulate(np.maximum(value, self._peak))
        sharpe = self._rolling_sharpe(ts, value, before)
        self._last_value, self._peak = float(value[-1]), float(peaks[-1])
        kept = _kept_steps(seq, value, self.every)
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

    def _rolling_sharpe(self, ts: Ints, value: Floats, before: Floats) -> Floats:
        """For each step, the Sharpe ratio of the last ROLLING complete periods before its own."""
        periods = (ts - 1) // period_of(self.interval_ms)
        if self._period is None:
            self._period = int(periods[0])
        result = np.full(len(ts), self._sharpe)
        for first in np.flatnonzero(np.diff(periods, prepend=self._period)).tolist():
            self._close_period(int(periods[first]), float(before[first]))
            result[first:] = self._sharpe
        return result

    def _close_period(self, next_period: int, value: float) -> None:
        """The current period ended at ``value``; periods up to ``next_period`` had no bars and return 0."""
        self._returns.append(value / self._period_close - 1 if self._period_close > 0 else nan)
        self._returns.extend([0.0] * min(next_period - (self._period or 0) - 1, ROLLING))
        self._period, self._period_close, self._sharpe = next_period, value, nan
        if len(self._returns) >= ROLLING_MIN:
            rolling = Returns(np.array(self._returns), YEAR_MS / period_of(self.interval_ms)).sharpe()
            self._sharpe = nan if rolling is None else rolling


def _kept_steps(seq: int, value: Floats, every: int) -> Ints:
    """Indices of the first step of a run, and of each stretch's lowest, highest and last."""
    if every == 1:
        return np.arange(len(value))
    kept = {0} if seq == 0 else set()
    for first in range(0, len(value), every):
        stretch = value[first : first + every]
        kept |= {first + int(i) for i in (np.argmin(stretch), np.argmax(stretch), len(stretch) - 1)}
    return np.array(sorted(kept), dtype=np.int64)


def _percents(part: Floats, whole: Floats) -> list[float | None]:
    """part / whole × 100; None if whole is not positive."""
    pairs = zip(part.tolist(), whole.tolist(), strict=True)
    return [100 * each / of if of > 0 else None for each, of in pairs]
