"""What a change does to bars: pure functions of arrays. Low ≤ open, close ≤ high holds after each as before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tapedeck_common.store.bars import Block, Floats, Ints

DAY_MS = 86_400_000
LOG_LIMIT = 25.0
Mask = npt.NDArray[np.bool_]
B = TypeVar("B", bound=Block)


def bent(block: Block, step: int, times: Sequence[float], logs: Sequence[float]) -> Block:
    """Prices × exp(g(t)), g straight from one (time, log) to the next and level outside: p'(t) = p(t) exp(g(t)).

    Times are milliseconds UTC. An open is taken at the bar's begin, a close at its end, high and low with the
    largest and the least of the factor in between: they bound what the path can have reached.
    """
    begin, end = block.ts.astype(np.float64), block.ts + float(step)
    places = [begin, end, *(np.clip(time, begin, end) for time in times)]
    factors = np.exp(np.array([np.interp(place, times, logs) for place in places]))
    return sound(
        replace(
            block,
            open=block.open * factors[0],
            close=block.close * factors[1],
            high=block.high * factors.max(axis=0),
            low=block.low * factors.min(axis=0),
        )
    )


def shock_path(
    start: float, percent: float, duration: float, recovery: float, recovered: float
) -> tuple[list[float], list[float]]:
    """Times (ms) and logs of a shock: ln(1 + size) after its duration, the recovered share taken back after.

    Duration and recovery in seconds; percent and recovered in percent. What takes no time takes a millisecond.
    """
    size = float(np.log1p(percent / 100))
    bottom = start + max(duration * 1000, 1.0)
    if not recovery:
        return [start, bottom], [0.0, size]
    return [start, bottom, bottom + recovery * 1000], [0.0, size, size * (1 - recovered / 100)]


def trend_path(start: float, end: float, percent_per_day: float) -> tuple[list[float], list[float]]:
    """Times (ms) and logs of a trend: ln(1 + growth) a day between start and end."""
    return [start, end], [0.0, float(np.log1p(percent_per_day / 100)) * (end - start) / DAY_MS]


def stretched(block: Block, factor: float, base: Floats) -> Block:
    """Log prices stretched around a base price: p' = b (p / b)^k, which makes each log return k times its size.

    No further than e^±25 from the base, so that prices stay prices.
    """

    def moved(price: Floats) -> Floats:
        return np.asarray(base * np.exp(np.clip(factor * np.log(price / base), -LOG_LIMIT, LOG_LIMIT)))

    return sound(
        replace(block, open=moved(block.open), high=moved(block.high), low=moved(block.low), close=moved(block.close))
    )


def levelled(block: Block, factor: Floats) -> Block:
    """Prices × a factor each."""
    return replace(
        block,
        open=block.open * factor,
        high=block.high * factor,
        low=block.low * factor,
        close=block.close * factor,
    )


def widened(block: Block, factor: float) -> Block:
    """Shadows × k in logs: high' = m (high / m)^k over m = max(open, close), low' in the same way below the body."""
    top, bottom = np.maximum(block.open, block.close), np.minimum(block.open, block.close)
    return sound(replace(block, high=top * (block.high / top) ** factor, low=bottom * (block.low / bottom) ** factor))


def with_volume(block: Block, factor: float) -> Block:
    """Volumes × k."""
    return replace(block, volume=block.volume * factor)


def only(block: B, keep: Mask | Ints | slice) -> B:
    """Some of the rows."""
    return type(block)(*(column[keep] for column in vars(block).values()))


def chosen(mask: Mask, yes: Block, no: Block) -> Block:
    """Row by row one or the other."""
    return Block(*(np.where(mask, a, b) for a, b in zip(vars(yes).values(), vars(no).values(), strict=True)))


def sound(block: Block) -> Block:
    """High and low moved by what rounding put them inside the body."""
    return replace(
        block,
        high=np.maximum(block.high, np.maximum(block.open, block.close)),
        low=np.minimum(block.low, np.minimum(block.open, block.close)),
    )
