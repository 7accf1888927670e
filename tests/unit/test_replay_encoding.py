"""Encoding of records, positions and controls of a replay."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_common.market import Bar
from tapedeck_common.store.bars import BarBlock
from tapedeck_common.wire import decode_bar
from tapedeck_crds.clock import Anchor
from tapedeck_replay.clock.controls import QUEUE_MAX, ControlQueue, parse_anchor
from tapedeck_replay.output.position import METADATA_MAX, ReplayPosition, anchor_json, from_metadata, to_metadata
from tapedeck_replay.playback.chunks import CHUNK_RECORDS, encode_chunks
from tapedeck_replay.source.dataset import Dataset

MINUTE = 60_000
SYMBOLS = ("BTC/USD", 'Ä"\\', "ETH/USD")
DATASET = Dataset("x", SYMBOLS, "1m", 0, 10 * MINUTE, dict.fromkeys(SYMBOLS, 10), "")

prices = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2**45), prices, prices, prices, prices, prices, st.integers(0, 9)),
    min_size=1,
    max_size=20,
)


@given(rows=rows)
def test_encoded_values_decode_to_the_bars(rows: list[tuple[int, int, float, float, float, float, float, int]]) -> None:
    block = BarBlock(*(np.array(column) for column in zip(*rows, strict=True)))
    chunk = next(encode_chunks(block, DATASET))
    for i, (series, ts, o, h, low, c, v, rev) in enumerate(rows):
        assert decode_bar(chunk.values[i]) == Bar("x", SYMBOLS[series], "1m", ts, o, h, low, c, v, True, rev)
        assert chunk.keys[i].decode() == f"x:{SYMBOLS[series]}"
        assert chunk.order_key(i) == (ts + MINUTE, "x", SYMBOLS[series], "1m", rev)
        assert json.loads(chunk.values[i])["open"] == o


def test_chunks_contain_all_rows() -> None:
    n = 2 * CHUNK_RECORDS + 7
    ones = np.ones(n)
    block = BarBlock(np.zeros(n, int), np.arange(n) * MINUTE, ones, ones, ones, ones, ones, np.zeros(n, int))
    chunks = list(encode_chunks(block, DATASET))
    assert [e for c in chunks for e in c.events] == [(i + 1) * MINUTE for i in range(n)]
    assert max(map(len, chunks)) == CHUNK_RECORDS


def test_positions_fit_the_offset_metadata_and_round_trip() -> None:
    anchor = Anchor(number=2**53, v0=2**53, w0=2**53, speed=math.pi, epoch=2**31, seek_id="\U0001f4c8" * 64)
    longest = ReplayPosition(
        v=2**53,
        epoch=f"{2**31}.{2**31}",
        last=(2**53, "e" * 64, "S" * 64, "12h", 2**31),
        passed=2**53,
        published=2**53,
        anchor=anchor_json(anchor),
        ended=True,
    )
    text = to_metadata(longest)
    assert len(text.encode()) < METADATA_MAX
    decoded = from_metadata(text)
    assert decoded.anchor_in_force == anchor
    assert (decoded.last, decoded.passed, decoded.control_epoch) == (longest.last, longest.passed, 2**31)
    assert from_metadata(to_metadata(ReplayPosition(v=1))).anchor_in_force is None


GOOD = {"number": 1, "v0": 0, "w0": 0, "speed": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": -1.0}, "speed: got -1.0"),
        ({"speed": 2e6}, "speed: got 2000000.0"),
        ({"speed": "1"}, "speed: got '1'"),
        ({"v0": 1.5}, "v0: got 1.5"),
        ({"number": 0}, "number: got 0"),
        ({"unpaced": "yes"}, "unpaced: got 'yes'"),
        ({"surplus": 1}, "surplus: got 1"),
    ],
)
def test_invalid_anchors_name_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        parse_anchor(json.dumps(GOOD | change).encode())


@pytest.mark.parametrize("body", [b"", b"null", b"{", b"\xff", b'{"number":1,"v0":0,"w0":0,"speed":NaN}'])
def test_invalid_bodies_are_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match="got"):
        parse_anchor(body)


def test_the_control_queue_is_bounded_and_first_in_first_out() -> None:
    controls = ControlQueue()
    for number in range(1, QUEUE_MAX + 1):
        controls.enqueue(json.dumps(GOOD | {"number": number}).encode())
    with pytest.raises(ValueError, match="while 64 are queued"):
        controls.enqueue(json.dumps(GOOD).encode())
    assert controls.wake.is_set()
    assert [a.number for a in controls.dequeue()] == list(range(1, QUEUE_MAX + 1))
    assert list(controls.dequeue()) == []
