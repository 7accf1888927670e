"""Merges the partitions of a replay into one stream, in the order of bars."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from tapedeck_common.market import Bar, event_time, order_key
from tapedeck_crds.base import described_ms


@dataclass
class _Partition:
    bars: deque[Bar] = field(default_factory=deque)
    watermark: float = -inf


class PartitionMerge:
    """Receives bars and watermarks of each partition, and yields steps: all bars of one event time.

    A step is complete once every partition's watermark has reached it. A partition with more than ``limit`` buffered
    bars runs ahead of the others.
    """

    def __init__(self, partitions: int, limit: int = 50_000) -> None:
        self._partitions = [_Partition() for _ in range(partitions)]
        self._limit = limit

    def add_bar(self, partition: int, bar: Bar) -> None:
        """Buffer a bar. Raises ValueError if its event time is not later than the partition's watermark.

        Bars later than the watermark may arrive in any order: a replay's scenario can delay and repeat them.
        """
        state, event = self._partitions[partition], event_time(bar)
        if event <= state.watermark:
            opened = described_ms(bar.ts)
            raise ValueError(f"bar of {bar.symbol}: got ts {opened}, expected an event time later than the watermark")
        if state.bars and event < event_time(state.bars[-1]):
            state.bars.insert(bisect_right(state.bars, event, key=event_time), bar)
        else:
            state.bars.append(bar)

    def advance_watermark(self, partition: int, v: int) -> None:
        """The partition is complete up to and including event time ``v`` (ms UTC)."""
        state = self._partitions[partition]
        state.watermark = max(state.watermark, v)

    def end(self, partition: int) -> None:
        """The partition is complete."""
        self._partitions[partition].watermark = inf

    @property
    def ended(self) -> bool:
        """Whether all partitions are complete."""
        return all(state.watermark == inf for state in self._partitions)

    def steps(self) -> Iterator[tuple[int, list[Bar]]]:
        """The steps that are complete now: event time (ms UTC) and its bars in order."""
        watermark = min(state.watermark for state in self._partitions)
        while True:
            event = min((event_time(state.bars[0]) for state in self._partitions if state.bars), default=inf)
            if event > watermark or event == inf:
                return
            bars: list[Bar] = []
            for state in self._partitions:
                while state.bars and event_time(state.bars[0]) == event:
                    bars.append(state.bars.popleft())
            bars.sort(key=order_key)
            if len({bar.symbol for bar in bars}) < len(bars):  # repeats are dropped; of revisions the last counts
                bars = list({(bar.exchange, bar.symbol, bar.interval): bar for bar in bars}.values())
            yield int(event), bars

    def ahead(self) -> set[int]:
        """Partitions to pause: their buffers are full, and another partition has the lowest watermark."""
        lowest = min(state.watermark for state in self._partitions)
        return {index for index in self.full() if self._partitions[index].watermark > lowest}

    def full(self) -> set[int]:
        """Partitions with more than ``limit`` buffered bars."""
        return {index for index, state in enumerate(self._partitions) if len(state.bars) > self._limit}
