"""The passes of a replay, one after the other: a seek or a new round of its loop begins the next."""

from __future__ import annotations

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.merge import Merge
from tapedeck_common.wire import Epoch


class Epochs:
    """Sorts what comes of each partition into passes.

    A pass is over when each partition is at its end or has gone on to a later one, so what is read of it does
    not depend on which partition was faster. Without ``follow`` there is only the first.
    """

    def __init__(self, partitions: int, *, follow: bool) -> None:
        self._follow = follow
        self._texts = [""] * partitions
        self._reached: list[Epoch | None] = [None] * partitions
        self._merges: dict[Epoch, Merge] = {}
        self._current: Epoch | None = None
        self._before = Merge(partitions)  # of a replay that has not begun

    @property
    def current(self) -> Epoch | None:
        """The pass that is read now; None before the first."""
        return self._current

    @property
    def merge(self) -> Merge:
        """What there is of the pass that is read now."""
        return self._merges[self._current] if self._current is not None else self._before

    def at(self, partition: int, text: str) -> Merge:
        """Where a record of the partition belongs, by the epoch in its header.

        Raises RunFailed (Sought) for a second pass where one is wanted, and ValueError for one that lies behind.
        """
        if text != self._texts[partition]:
            self._enter(partition, Epoch.parse(text))
            self._texts[partition] = text
        reached = self._reached[partition]
        return self._merges[reached] if reached is not None else self._before

    def advance(self) -> Epoch | None:
        """Leave the pass that is over for the next that some partition has come to; None where there is none."""
        if self._current is None:
            return None
        del self._merges[self._current]
        self._current = min(self._merges, default=None)
        return self._current

    def ahead(self) -> set[int]:
        """Partitions that should wait for the others."""
        later = (merge for epoch, merge in self._merges.items() if epoch != self._current)
        return self.merge.ahead() | {partition for merge in later for partition in merge.full()}

    def _enter(self, partition: int, epoch: Epoch) -> None:
        before = self._reached[partition]
        if before is not None and epoch < before:
            raise ValueError(f"epoch {epoch}: expected one later than {before}")
        if self._current is None:
            self._current = epoch
        elif not self._follow and epoch != self._current:
            raise RunFailed(
                "Sought",
                f"data.replay: the Replay left epoch {self._current} for {epoch} (a seek or a new round of its "
                "loop); a run reads one epoch: make a new Backtest, or set data.replay.onSeek to restart",
            )
        self._reached[partition] = epoch
        if epoch not in self._merges and epoch >= self._current:
            merge = self._merges[epoch] = Merge(len(self._reached))
            for other, reached in enumerate(self._reached):
                if reached is not None and reached > epoch:
                    merge.end(other)
        for earlier, merge in self._merges.items():
            if earlier < epoch:
                merge.end(partition)
