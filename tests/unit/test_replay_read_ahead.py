"""Reading ahead is bounded, however long the dataset."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.source import Synthetic
from tapedeck_replay.playback.chunks import CHUNK_RECORDS
from tapedeck_replay.playback.read_ahead import CHUNKS_AHEAD, ReadAhead
from tapedeck_replay.source.dataset import Dataset, StartAfter
from tapedeck_replay.source.synthetic.market import BLOCK_ROWS
from tapedeck_replay.source.synthetic.source import SyntheticSource

BARS = 3_000_000
GROWTH_MAX = 128 * 2**20  # bytes; all bars encoded take more than 600 MB
QUIET_SECONDS = 1.0


class CountedSource(SyntheticSource):
    """Counts the bars that were read from it."""

    read = 0

    def blocks(self, dataset: Dataset, after: StartAfter | None) -> Iterator[BarBlock]:
        for block in super().blocks(dataset, after):
            self.read += len(block)
            yield block


def wait_until_idle(source: CountedSource, taken: int) -> None:
    """Wait until more is read than was taken, and then nothing for QUIET_SECONDS.

    An unbounded reader exceeds its bound by far meanwhile.
    """
    seen, since = -1, time.monotonic()
    while (source.read <= taken or time.monotonic() - since < QUIET_SECONDS) and source.read < BARS:
        if source.read != seen:
            seen, since = source.read, time.monotonic()
        time.sleep(0.02)


@pytest.mark.slow
def test_reading_ahead_of_a_long_dataset_is_bounded() -> None:
    source = CountedSource(Synthetic.model_validate({"symbols": [{"symbol": "A/B"}], "bars": BARS}, by_alias=True))
    before = psutil.Process().memory_info().rss
    reader = ReadAhead(source, source.resolve(), None, lambda: None)
    try:
        taken = 0
        wait_until_idle(source, taken)
        for _ in range(5):  # the bound also holds later, not only at the start
            assert 0 < source.read - taken <= (CHUNKS_AHEAD + 1) * CHUNK_RECORDS + BLOCK_ROWS
            for _ in range(20):
                while (chunk := reader.next_chunk()) is None:
                    time.sleep(0.005)
                taken += len(chunk)
            wait_until_idle(source, taken)
        assert psutil.Process().memory_info().rss - before < GROWTH_MAX
    finally:
        reader.close()
