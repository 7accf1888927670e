"""Reading ahead: no more than its bound, however long the tape."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from tapedeck_common.store.bars import Block
from tapedeck_crds.source import Synthetic
from tapedeck_replay.chunks import CHUNK_BARS
from tapedeck_replay.reader import CHUNKS_AHEAD, ReadAhead
from tapedeck_replay.synthetic.market import BLOCK_ROWS
from tapedeck_replay.synthetic.source import SyntheticSource
from tapedeck_replay.tape import After, Tape

BARS = 3_000_000
GROWTH_MAX = 128 * 2**20  # bytes; all of the bars, encoded, are more than 600 MB
QUIET_SECONDS = 1.0


class Counted(SyntheticSource):
    """Knows how many bars were read from it."""

    read = 0

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        for block in super().blocks(tape, after):
            self.read += len(block)
            yield block


def until_quiet(source: Counted) -> None:
    """Until nothing was read for a while; a reader that goes on reads far more than its bound meanwhile."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS and source.read < BARS:
        if source.read != seen:
            seen, since = source.read, time.monotonic()
        time.sleep(0.02)


@pytest.mark.slow
def test_a_long_tape_waits_where_it_is() -> None:
    source = Counted(Synthetic.model_validate({"symbols": [{"symbol": "A/B"}], "bars": BARS}, by_alias=True))
    before = psutil.Process().memory_info().rss
    reader = ReadAhead(source, source.resolve(), None, lambda: None)
    try:
        until_quiet(source)
        taken = 0
        for _ in range(5):  # the bound holds on the way too, not for the first time alone
            assert 0 < source.read - taken <= (CHUNKS_AHEAD + 1) * CHUNK_BARS + BLOCK_ROWS
            for _ in range(20):
                while (chunk := reader.take()) is None:
                    time.sleep(0.005)
                taken += len(chunk)
            until_quiet(source)
        assert psutil.Process().memory_info().rss - before < GROWTH_MAX
    finally:
        reader.close()
