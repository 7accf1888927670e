"""Prometheus metrics of a replay."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from prometheus_client import Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_crds.clock import Anchor

PUBLISHED = Counter("tapedeck_replay_bars_published", "Bars or trades committed, over all epochs of this pod.")
TRANSACTIONS = Counter("tapedeck_replay_transactions", "Transactions committed.")
ABORTED = Counter("tapedeck_replay_transactions_aborted", "Transactions aborted; their records are published again.")
POSITION = Gauge("tapedeck_replay_position_seconds", "Virtual time committed, in seconds since the Unix epoch.")
PLAYING = Gauge("tapedeck_replay_playing", "1 while virtual time shall advance, 0 while it is held or has ended.")
SPEED = Gauge("tapedeck_replay_speed", "Virtual seconds per wall-clock second; 0 when paused, +Inf when unpaced.")


def set_speed(anchor: Anchor | None) -> None:
    """Export the speed of the anchor in force."""
    if anchor is not None:
        SPEED.set(math.inf if anchor.unpaced and not anchor.paused else anchor.speed)


BOUNDS_MS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 100, 250, 1000, 5000, 15_000, 60_000, 300_000, 3_600_000)


class LatenessHistogram(Collector):
    """A histogram of lateness that observes an array at a time, which prometheus_client's Histogram cannot."""

    def __init__(self) -> None:
        self._bounds = np.array(BOUNDS_MS)
        self._counts = np.zeros(len(BOUNDS_MS) + 1, dtype=np.int64)
        self._sum_ms = 0.0

    def observe(self, late_ms: npt.NDArray[np.float64]) -> None:
        """Count the lateness of each record, milliseconds, shape (n,)."""
        buckets = np.searchsorted(self._bounds, late_ms)
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._sum_ms += float(late_ms.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram in seconds."""
        cumulative = np.cumsum(self._counts).tolist()
        labels = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
        yield HistogramMetricFamily(
            "tapedeck_replay_lateness_seconds",
            "Delay from the wall-clock time at which a record is to be published to its handover to the producer.",
            buckets=list(zip(labels, cumulative, strict=True)),
            sum_value=self._sum_ms / 1000,
        )


LATENESS = LatenessHistogram()
REGISTRY.register(LATENESS)
