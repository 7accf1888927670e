"""Epochs of a replay, split from partitions that reach them at different times."""

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


# Records of each partition: (epoch, minute of a bar), in order; each ends after its last. B has no record of 1.0.
PARTITIONS = [[("0.0", 1), ("0.0", 2), ("1.0", 1), ("2.0", 0)], [("0.0", 1), ("2.0", 0), ("2.0", 1)]]
EXPECTED = {Epoch(0): [(1, "AB"), (2, "A")], Epoch(1): [(1, "A")], Epoch(2): [(0, "AB"), (1, "B")]}


@pytest.mark.parametrize("order", sorted(set(permutations([0] * 4 + [1] * 3))))
def test_epochs_do_not_depend_on_the_order_of_partitions(order: tuple[int, ...]) -> None:
    epochs, left = EpochSplitter(2, follow=True), [list(records) for records in PARTITIONS]
    for partition in order:
        text, minute = left[partition].pop(0)
        merge = epochs.merge_of(partition, text)
        merge.add_bar(partition, bar("AB"[partition], minute))
        merge.advance_watermark(partition, (minute + 1) * MINUTE)
        if not left[partition]:
            merge.end(partition)
    seen, current = {}, epochs.merge
    for epoch in EXPECTED:
        assert current.ended
        seen[epoch] = [(t // MINUTE - 1, "".join(b.symbol for b in bars)) for t, bars in current.steps()]
        if epochs.advance() is not None:
            current = epochs.merge
    assert seen == EXPECTED
    assert epochs.advance() is None


def test_epoch_is_not_complete_while_a_partition_is_in_it() -> None:
    epochs = EpochSplitter(2, follow=True)
    epochs.merge_of(0, "0.0")
    epochs.merge_of(1, "0.0")
    epochs.merge_of(0, "1.0")
    assert not epochs.merge.ended
    epochs.merge_of(1, "1.0")
    assert epochs.merge.ended


def test_second_epoch_fails_without_follow() -> None:
    epochs = EpochSplitter(1, follow=False)
    epochs.merge_of(0, "0.1")
    with pytest.raises(RunFailed, match=r"left epoch 0\.1 for 1\.0"):
        epochs.merge_of(0, "1.0")


def test_earlier_epoch_is_rejected() -> None:
    epochs = EpochSplitter(1, follow=True)
    epochs.merge_of(0, "2.0")
    with pytest.raises(ValueError, match=r"later than 2\.0"):
        epochs.merge_of(0, "1.0")
