"""Prometheus metrics of a replay."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_common.metrics import LateGauge, counter_by
from tapedeck_crds.clock import Anchor

PUBLISHED = Counter("tapedeck_replay_records_total", "Bars or trades committed, over all epochs of this pod.")
TRANSACTIONS = counter_by(
    "tapedeck_replay_transactions_total",
    "Transactions that ended; the records of an aborted one are published again.",
    "result",
    ("committed", "aborted"),
)
COMMIT_SECONDS = Histogram(
    "tapedeck_replay_commit_seconds",
    "Seconds from the start of a commit to its success.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
EPOCHS = counter_by("tapedeck_replay_epochs_total", "Epochs that began after the first.", "reason", ("seek", "loop"))
POSITION = LateGauge("tapedeck_replay_position_timestamp_seconds", "Virtual time that is committed.")
PLAYING = Gauge("tapedeck_replay_playing", "1 while virtual time shall advance, 0 while it is held or has ended.")
WANTED_SPEED = Gauge(
    "tapedeck_replay_wanted_speed_ratio",
    "Virtual seconds a second that the controls ask for; 0 when paused, +Inf when unpaced.",
)
MEASURED_SPEED = Gauge(
    "tapedeck_replay_measured_speed_ratio",
    "Virtual seconds a second that were committed, over the last seconds of playing.",
)


def set_wanted_speed(anchor: Anchor | None) -> None:
    """Export the speed of the anchor in force."""
    if anchor is not None:
        WANTED_SPEED.set(math.inf if anchor.unpaced and not anchor.paused else anchor.speed)


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
