"""How far the database is behind the log: records, and the age of the oldest of them, by topic."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import REGISTRY, Collector

from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_common.metrics import gauge_family_by


class PartitionEnd(NamedTuple):
    """What the Kafka client knows of a partition: its first and next offset, and the next one to read."""

    low: int
    high: int
    position: int


_UNSEEN = PartitionEnd(0, 0, 0)


@dataclass
class _Progress:
    """A partition. Offsets are the next ones, times Unix time.

    No unrecorded record is older than ``complete_until``: the time of the last recorded one, or when nothing was left
    to record, whichever is later. It is None before either is known.
    """

    read: int
    recorded: int
    assigned_at: float
    complete_until: float | None = None
    end: PartitionEnd = _UNSEEN

    def lag(self) -> int:
        """Records that are not in the database."""
        low, high, position = self.end
        # If all that was read is recorded, the position may also be after transaction markers.
        following = self.recorded if self.recorded < self.read else max(self.recorded, position)
        return max(max(high, self.read) - max(following, low), 0)

    def complete(self, until: float) -> None:
        """Records that were written up to this time are in the database."""
        self.complete_until = until if self.complete_until is None else max(self.complete_until, until)

    def age(self, now: float) -> float:
        """Seconds since the oldest record that is not in the database was written, at most."""
        since = self.assigned_at if self.complete_until is None else self.complete_until
        return max(now - since, 0.0) if self.lag() else 0.0


class RecordingLag(Collector):
    """The metrics ``tapedeck_recorder_lag_*``. Reader and writers tell their progress; a scrape computes the lag.

    So the age grows also while the reader waits for a database that does not answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[Partition, _Progress] = {}

    def assign(self, positions: Mapping[Partition, LogPosition]) -> None:
        """The reader continues at these positions, and reads no other partitions."""
        now = time.time()
        with self._lock:
            before = self._partitions
            self._partitions = {}
            for partition, (offset, _) in positions.items():
                known = before.get(partition) or _Progress(offset, offset, now)
                self._partitions[partition] = _Progress(offset, offset, known.assigned_at, known.complete_until)

    def read(self, following: Mapping[Partition, LogPosition]) -> None:
        """Records were read; these are the next positions."""
        with self._lock:
            for partition, (offset, _) in following.items():
                if (progress := self._partitions.get(partition)) is not None:
                    progress.read = max(progress.read, offset)

    def record(self, following: Mapping[Partition, LogPosition], written_at: Mapping[Partition, int]) -> None:
        """Records were committed: the next positions, and when the last record was written to the log, ms UTC."""
        with self._lock:
            for partition, (offset, _) in following.items():
                if (progress := self._partitions.get(partition)) is not None:
                    progress.recorded = max(progress.recorded, offset)
                    if (written := written_at.get(partition)) is not None:
                        progress.complete(written / 1000)

    def see(self, ends: Mapping[Partition, PartitionEnd]) -> None:
        """What the client knows of the log now."""
        now = time.time()
        with self._lock:
            for partition, end in ends.items():
                if (progress := self._partitions.get(partition)) is not None:
                    progress.end = end
                    if not progress.lag():
                        progress.complete(now)

    def collect(self) -> Iterator[Metric]:
        """The lag of each topic of which this recorder reads a partition."""
        now = time.time()
        records: dict[str, float] = defaultdict(float)
        seconds: dict[str, float] = defaultdict(float)
        with self._lock:
            for (topic, _), progress in self._partitions.items():
                records[topic] += progress.lag()
                seconds[topic] = max(seconds[topic], progress.age(now))
        about = "Records on the log that are not in the database yet."
        yield gauge_family_by("tapedeck_recorder_lag_records", about, "topic", records)
        about = "Age of the oldest record that is not in the database yet; 0 where there is none."
        yield gauge_family_by("tapedeck_recorder_lag_seconds", about, "topic", seconds)


LAG = RecordingLag()
REGISTRY.register(LAG)
