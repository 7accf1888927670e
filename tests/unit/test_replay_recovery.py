"""What a pod believes of its Replay's topic, where others may have written and the broker may have lost the end."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from tapedeck_common import wire
from tapedeck_replay.output.position import ReplayPosition
from tapedeck_replay.recovery import LogEnd, agree, control_record

UID = "7d1b2c1e-0000-4000-8000-000000000001"
OWN = wire.replay_headers(UID, wire.Epoch(2), control=True)
MARK = wire.Watermark("2.0", 9, (9, "x", "A", "1m", 0), 5)
POSITION = ReplayPosition(v=9, epoch="2.0", last=MARK.position, published=5)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (wire.encode(MARK), []),
        (wire.encode(MARK), [("td", b"1;replay")]),
        (wire.encode(MARK), [("td", b"\xff;;;;")]),
        (wire.encode(MARK), [("td", None)]),
        (wire.encode(MARK), wire.replay_headers("another", wire.Epoch(2), control=True)),
        (wire.encode(MARK), wire.replay_headers(UID, wire.Epoch(3), control=True)),
        (wire.encode(MARK), wire.replay_headers(UID, wire.Epoch(2))),
        (b"{" * 100_000, OWN),
        (b"\xff", OWN),
        (b"", OWN),
        (None, OWN),
        (b'{"type":"watermark","epoch":"2.0","v":"soon"}', OWN),
        (b'{"type":"watermark","epoch":"2.zero","v":1}', OWN),
    ],
)
def test_records_that_the_replay_did_not_write_are_skipped(value: bytes | None, headers: wire.Headers) -> None:
    assert control_record(Message(topic="t", value=value, headers=headers), UID) is None
    assert control_record(Message(topic="t", value=wire.encode(MARK), headers=OWN), UID) == MARK


@pytest.mark.parametrize(
    ("on_log", "low", "agrees"),
    [
        (POSITION, 0, True),
        (ReplayPosition(v=8, epoch="2.0", last=MARK.position, published=5), 0, True),  # late bars are held back
        (ReplayPosition(v=9, epoch="2.0", last=MARK.position, published=4), 0, False),
        (ReplayPosition(v=9, epoch="1.0", last=MARK.position, published=5), 0, False),
        (ReplayPosition(v=9, epoch="2.0", last=MARK.position, published=5, ended=True), 0, False),
        (None, 0, False),
        (None, 7, True),  # retention has deleted the watermark
    ],
)
def test_a_position_agrees_with_the_last_transaction_on_the_log(
    on_log: ReplayPosition | None, low: int, agrees: bool
) -> None:
    assert agree(POSITION, LogEnd(on_log, 0, low)) is agrees
    assert not agree(POSITION, LogEnd(on_log, 1, low))
    assert agree(ReplayPosition(v=0), LogEnd(None, 0, 0))
