"""Passes of a replay, sorted out of partitions that come to them at different times."""

from __future__ import annotations

from itertools import permutations

import pytest

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.epoch_splitter import EpochSplitter
from tapedeck_common.market import Bar
from tapedeck_common.wire import Epoch

MINUTE = 60_000


def bar(symbol: str, minute: int) -> Bar:
    return Bar("x", symbol, "1m", minute * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0)


# What each partition holds: (epoch, minute of a bar), in order; each ends after its last. B never saw 1.0.
TAPES = [[("0.0", 1), ("0.0", 2), ("1.0", 1), ("2.0", 0)], [("0.0", 1), ("2.0", 0), ("2.0", 1)]]
WANTED = {Epoch(0): [(1, "AB"), (2, "A")], Epoch(1): [(1, "A")], Epoch(2): [(0, "AB"), (1, "B")]}


@pytest.mark.parametrize("order", sorted(set(permutations([0] * 4 + [1] * 3))))
def test_each_pass_is_the_same_however_partitions_come(order: tuple[int, ...]) -> None:
    epochs, left = EpochSplitter(2, follow=True), [list(tape) for tape in TAPES]
    for partition in order:
        text, minute = left[partition].pop(0)
        merge = epochs.merge_of(partition, text)
        merge.add_bar(partition, bar("AB"[partition], minute))
        merge.advance_watermark(partition, (minute + 1) * MINUTE)
        if not left[partition]:
            merge.end(partition)
    seen, current = {}, epochs.merge
    for epoch in WANTED:
        assert current.ended
        seen[epoch] = [(t // MINUTE - 1, "".join(b.symbol for b in bars)) for t, bars in current.steps()]
        if epochs.advance() is not None:
            current = epochs.merge
    assert seen == WANTED
    assert epochs.advance() is None


def test_a_pass_is_not_over_while_a_partition_is_in_it() -> None:
    epochs = EpochSplitter(2, follow=True)
    epochs.merge_of(0, "0.0")
    epochs.merge_of(1, "0.0")
    epochs.merge_of(0, "1.0")
    assert not epochs.merge.ended
    epochs.merge_of(1, "1.0")
    assert epochs.merge.ended


def test_one_pass_is_all_without_following() -> None:
    epochs = EpochSplitter(1, follow=False)
    epochs.merge_of(0, "0.1")
    with pytest.raises(RunFailed, match=r"left epoch 0\.1 for 1\.0"):
        epochs.merge_of(0, "1.0")


def test_no_way_back() -> None:
    epochs = EpochSplitter(1, follow=True)
    epochs.merge_of(0, "2.0")
    with pytest.raises(ValueError, match=r"later than 2\.0"):
        epochs.merge_of(0, "1.0")
