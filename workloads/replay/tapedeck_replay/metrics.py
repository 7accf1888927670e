"""What the replay shows at /metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from prometheus_client import Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_crds.clock import Anchor

PUBLISHED = Counter("tapedeck_replay_bars_published", "Bars committed.")
TRANSACTIONS = Counter("tapedeck_replay_transactions", "Transactions committed.")
ABORTED = Counter("tapedeck_replay_transactions_aborted", "Transactions given up and published again.")
POSITION = Gauge("tapedeck_replay_position_seconds", "Virtual time, seconds UTC.")
SPEED = Gauge("tapedeck_replay_speed", "Virtual seconds a second; 0 while paused, infinity when unpaced.")


def note_speed(anchor: Anchor | None) -> None:
    """Show the speed in force."""
    if anchor is not None:
        SPEED.set(math.inf if anchor.unpaced and not anchor.paused else anchor.speed)


BOUNDS_MS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 100, 250, 1000, 5000)


class Lateness(Collector):
    """From when a bar is due until it is with the producer. Takes many bars at a time, as a Histogram can't."""

    def __init__(self) -> None:
        self._bounds = np.array(BOUNDS_MS)
        self._counts = np.zeros(len(BOUNDS_MS) + 1, dtype=np.int64)
        self._sum_ms = 0.0

    def observe(self, late_ms: npt.NDArray[np.float64]) -> None:
        """Note each bar's lateness."""
        places = np.searchsorted(self._bounds, late_ms)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum_ms += float(late_ms.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram in seconds."""
        below = np.cumsum(self._counts).tolist()
        labels = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
        yield HistogramMetricFamily(
            "tapedeck_replay_lateness_seconds",
            "From when a bar is due until it is with the producer, commits included.",
            buckets=list(zip(labels, below, strict=True)),
            sum_value=self._sum_ms / 1000,
        )


LATENESS = Lateness()
REGISTRY.register(LATENESS)
