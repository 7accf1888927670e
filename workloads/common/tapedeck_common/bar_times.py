"""Opens and closes of many bars at once, as ``BarLength`` defines them. Times are milliseconds UTC."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tapedeck_crds.intervals import BarLength

Times: TypeAlias = npt.NDArray[np.int64]


def opens_of(length: BarLength, times: Times) -> Times:
    """The opens of the bars that contain ``times``."""
    if length.monthly:
        return _starts(_months(times))
    opens: Times = times - (times - length.origin) % length.ms
    return opens


def closes_of(length: BarLength, opens: Times) -> Times:
    """The closes of the bars that open at ``opens``."""
    if length.monthly:
        return _starts(_months(opens) + 1)
    closes: Times = opens + length.ms
    return closes


def _months(times: Times) -> npt.NDArray[np.datetime64]:
    return times.astype("datetime64[ms]").astype("datetime64[M]")


def _starts(months: npt.NDArray[np.datetime64]) -> Times:
    return months.astype("datetime64[ms]").astype(np.int64)
