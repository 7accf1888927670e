"""Transformations of bars: pure functions of arrays. All of them preserve low ≤ open, close ≤ high."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tapedeck_common.store.bars import BarBlock, Floats, Ints
from tapedeck_replay.errors import InvalidReplay

DAY_MS = 86_400_000
LOG_LIMIT = 25.0
Mask = npt.NDArray[np.bool_]
B = TypeVar("B", bound=BarBlock)


def scale_along_path(block: BarBlock, interval_ms: int, times: Sequence[float], logs: Sequence[float]) -> BarBlock:
    """Prices × exp(g(t)), p'(t) = p(t) exp(g(t)), where g is linear between the points (time, log), else constant.

    Times are milliseconds UTC. The open is scaled by the factor at the bar's open time, the close by that at its close
    time, high and low by the largest and the smallest factor in between: they bound what the path can have reached.
    """
    begin, end = block.ts.astype(np.float64), block.ts + float(interval_ms)
    places = [begin, end, *(np.clip(time, begin, end) for time in times)]
    factors = np.exp(np.array([np.interp(place, times, logs) for place in places]))
    return enforce_high_low(
        replace(
            block,
            open=block.open * factors[0],
            close=block.close * factors[1],
            high=np.maximum(block.high * factors.max(axis=0), block.high * factors.min(axis=0)),
            low=np.minimum(block.low * factors.min(axis=0), block.low * factors.max(axis=0)),
        )
    )


def shock_path(
    start: float, percent: float, duration: float, recovery: float, recovered: float
) -> tuple[list[float], list[float]]:
    """Times (ms) and logs of a shock: ln(1 + size) after its duration, of which it then recovers a share.

    Duration and recovery are in seconds; percent and recovered in percent. A duration of 0 becomes a millisecond.
    """
    size = float(np.log1p(percent / 100))
    bottom = start + max(duration * 1000, 1.0)
    if not recovery:
        return [start, bottom], [0.0, size]
    return [start, bottom, bottom + recovery * 1000], [0.0, size, size * (1 - recovered / 100)]


def trend_path(start: float, end: float, percent_per_day: float) -> tuple[list[float], list[float]]:
    """Times (ms) and logs of a trend: ln(1 + growth) per day between start and end."""
    return [start, end], [0.0, float(np.log1p(percent_per_day / 100)) * (end - start) / DAY_MS]


def scale_log_prices(block: BarBlock, factor: float, base: Floats) -> BarBlock:
    """Log prices × k around a base price: p' = b (p / b)^k, which multiplies each log return by k.

    Limited to e^±25 times the base, so that prices remain positive and finite. ``base`` has shape (n,).
    """

    def scaled(price: Floats) -> Floats:
        return np.asarray(base * np.exp(np.clip(factor * np.log(price / base), -LOG_LIMIT, LOG_LIMIT)))

    return enforce_high_low(
        replace(
            block, open=scaled(block.open), high=scaled(block.high), low=scaled(block.low), close=scaled(block.close)
        )
    )


def scale_prices(block: BarBlock, factor: Floats) -> BarBlock:
    """Prices of each bar × its factor; ``factor`` has shape (n,)."""
    return replace(
        block,
        open=block.open * factor,
        high=block.high * factor,
        low=block.low * factor,
        close=block.close * factor,
    )


def scale_shadows(block: BarBlock, factor: float) -> BarBlock:
    """Log shadows × k: high' = m (high / m)^k with m = max(open, close), and low' likewise below min(open, close)."""
    top, bottom = np.maximum(block.open, block.close), np.minimum(block.open, block.close)
    high, low = top * (block.high / top) ** factor, bottom * (block.low / bottom) ** factor
    return enforce_high_low(replace(block, high=high, low=low))


def scale_volume(block: BarBlock, factor: float) -> BarBlock:
    """Volumes × k."""
    return replace(block, volume=block.volume * factor)


def check_positive(block: BarBlock, rows: Mask, change: str) -> None:
    """Raise InvalidReplay for a change in proportion to prices where one of these rows has a price of 0 or below."""
    low = block.low[rows]
    if len(low) and low.min() <= 0:
        raise InvalidReplay("BadScenario", f"scenario: {change}: got a price of {low.min():g}, expected prices above 0")


def select_rows(block: B, keep: Mask | Ints | slice) -> B:
    """Some rows of a block, by mask, by indices or by slice."""
    return type(block)(*(column[keep] for column in vars(block).values()))


def choose_rows(mask: Mask, yes: BarBlock, no: BarBlock) -> BarBlock:
    """Each row from ``yes`` where the mask is true, else from ``no``."""
    return BarBlock(*(np.where(mask, a, b) for a, b in zip(vars(yes).values(), vars(no).values(), strict=True)))


def enforce_high_low(block: BarBlock) -> BarBlock:
    """High and low extended to contain open and close, where rounding put them inside."""
    return replace(
        block,
        high=np.maximum(block.high, np.maximum(block.open, block.close)),
        low=np.minimum(block.low, np.minimum(block.open, block.close)),
    )
