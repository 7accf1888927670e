"""Splits a replay's topic into its epochs, of which a seek or a new round of its loop starts the next."""

from __future__ import annotations

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.partition_merge import PartitionMerge
from tapedeck_common.wire import Epoch


class EpochSplitter:
    """Assigns the records of each partition to epochs, each with a merge of its own.

    An epoch is complete once each partition has ended or has reached a later epoch, so its content does not depend on
    which partition was read faster. Without ``follow`` only the first epoch is allowed.
    """

    def __init__(self, partitions: int, *, follow: bool) -> None:
        self._follow = follow
        self._last_text = [""] * partitions  # of each partition's epoch header, so that each epoch is parsed once
        self._reached: list[Epoch | None] = [None] * partitions
        self._merges: dict[Epoch, PartitionMerge] = {}
        self._current: Epoch | None = None
        self._before_first = PartitionMerge(partitions)

    @property
    def current(self) -> Epoch | None:
        """The epoch that is being read; None before the first."""
        return self._current

    @property
    def merge(self) -> PartitionMerge:
        """The merge of the epoch that is being read."""
        return self._merges[self._current] if self._current is not None else self._before_first

    def merge_of(self, partition: int, text: str) -> PartitionMerge:
        """The merge for a record of the partition, by the epoch in its header.

        Raises RunFailed (Sought) for a second epoch without ``follow``, and ValueError for an earlier epoch.
        """
        if text != self._last_text[partition]:
            self._enter(partition, Epoch.parse(text))
            self._last_text[partition] = text
        reached = self._reached[partition]
        return self._merges[reached] if reached is not None else self._before_first

    def reached(self, partition: int) -> Epoch | None:
        """The epoch of the partition's last record; None before its first."""
        return self._reached[partition]

    def advance(self) -> Epoch | None:
        """Leave the current epoch for the next one that a partition has reached; None if there is none."""
        if self._current is None:
            return None
        del self._merges[self._current]
        self._current = min(self._merges, default=None)
        return self._current

    def ahead(self) -> set[int]:
        """Partitions to pause: they run ahead in this epoch, or have full buffers in a later one."""
        later = (merge for epoch, merge in self._merges.items() if epoch != self._current)
        return self.merge.ahead() | {partition for merge in later for partition in merge.full()}

    def _enter(self, partition: int, epoch: Epoch) -> None:
        """The partition has reached the epoch: its part of every earlier one is complete."""
        before = self._reached[partition]
        if before is not None and epoch < before:
            raise ValueError(f"epoch: got {epoch}, expected one later than {before}")
        if self._current is None:
            self._current = epoch
        elif not self._follow and epoch != self._current:
            raise RunFailed(
                "Sought",
                f"data.replay: the Replay left epoch {self._current} for {epoch} (a seek or a new round of its loop), "
                "and a run reads the first one: set data.replay.onSeek to restart, or create a new Replay for it",
            )
        self._reached[partition] = epoch
        if epoch not in self._merges and epoch >= self._current:
            merge = self._merges[epoch] = PartitionMerge(len(self._reached))
            for other, reached in enumerate(self._reached):
                if reached is not None and reached > epoch:
                    merge.end(other)
        for earlier, merge in self._merges.items():
            if earlier < epoch:
                merge.end(partition)
