"""Several partitions of a replay made one stream again, in the one order of bars."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from tapedeck_common.market import Bar, event_time, order_key


@dataclass
class _Partition:
    bars: deque[Bar] = field(default_factory=deque)
    complete: float = -inf


class Merge:
    """Takes bars and watermarks of each partition, gives whole steps: all bars of one event time.

    A step is given once every partition is complete up to it. ``limit`` is how many bars a partition
    may have waiting before it counts as running ahead.
    """

    def __init__(self, partitions: int, limit: int = 50_000) -> None:
        self._partitions = [_Partition() for _ in range(partitions)]
        self._limit = limit

    def bar(self, partition: int, bar: Bar) -> None:
        """Take a bar. ValueError for one that comes too late to be put in order.

        Ahead of the watermark they may come in any order: a replay's scenario can delay and repeat bars.
        """
        there, event = self._partitions[partition], event_time(bar)
        if event <= there.complete:
            raise ValueError(f"bar of {bar.symbol} with ts {bar.ts}: expected one later than the watermark before it")
        if there.bars and event < event_time(there.bars[-1]):
            there.bars.insert(bisect_right(there.bars, event, key=event_time), bar)
        else:
            there.bars.append(bar)

    def watermark(self, partition: int, v: int) -> None:
        """The partition is complete up to and with event time ``v``."""
        there = self._partitions[partition]
        there.complete = max(there.complete, v)

    def end(self, partition: int) -> None:
        """Nothing more will come from the partition."""
        self._partitions[partition].complete = inf

    @property
    def ended(self) -> bool:
        """Whether all partitions are at their end."""
        return all(there.complete == inf for there in self._partitions)

    def steps(self) -> Iterator[tuple[int, list[Bar]]]:
        """The steps that are whole now: event time (ms UTC) and its bars in order."""
        complete = min(there.complete for there in self._partitions)
        while True:
            event = min((event_time(there.bars[0]) for there in self._partitions if there.bars), default=inf)
            if event > complete or event == inf:
                return
            bars: list[Bar] = []
            for there in self._partitions:
                while there.bars and event_time(there.bars[0]) == event:
                    bars.append(there.bars.popleft())
            bars.sort(key=order_key)
            if len({bar.symbol for bar in bars}) < len(bars):  # repeats; of revisions the last
                bars = list({(bar.exchange, bar.symbol, bar.interval): bar for bar in bars}.values())
            yield int(event), bars

    def ahead(self) -> set[int]:
        """Partitions that should wait: more than ``limit`` bars of theirs wait for another partition."""
        slowest = min(there.complete for there in self._partitions)
        return {index for index in self.full() if self._partitions[index].complete > slowest}

    def full(self) -> set[int]:
        """Partitions of which more than ``limit`` bars wait."""
        return {index for index, there in enumerate(self._partitions) if len(there.bars) > self._limit}
