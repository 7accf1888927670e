"""Where a shard is: committed as the metadata of its group's offset, inside each transaction."""

from __future__ import annotations

import msgspec

from tapedeck_common.market import OrderKey
from tapedeck_common.wire import Epoch, Watermark
from tapedeck_crds.clock import Anchor

METADATA_MAX = 4096  # the broker's offset.metadata.max.bytes


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a successor goes on from. ``last`` is null before the first bar of an epoch.

    ``v`` is the event time up to which the partition is complete, ``passed`` counts the pass's bars
    up to there (null: not known), ``published`` those of all epochs on the topic.
    """

    v: int
    epoch: str = "0.0"
    last: OrderKey | None = None
    passed: int | None = None
    published: int = 0
    anchor: msgspec.Raw = msgspec.Raw(b"null")
    ended: bool = False

    @property
    def control_epoch(self) -> int:
        """How many jumps there were."""
        return Epoch.parse(self.epoch).control

    @property
    def anchor_in_force(self) -> Anchor | None:
        text = bytes(self.anchor)
        return None if text == b"null" else Anchor.model_validate_json(text)

    def watermark(self, lateness: int = 0) -> Watermark:
        """The record that tells consumers of it, where bars come up to ``lateness`` ms after their event times."""
        return Watermark(self.epoch, self.v - lateness, self.last, self.published)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Position).decode


def to_metadata(position: Position) -> str:
    """The position as text of at most METADATA_MAX bytes."""
    return _encode(position).decode()


def from_metadata(text: str) -> Position:
    """Raises ValueError for what is no position."""
    return _decode(text)


def anchor_json(anchor: Anchor | None) -> msgspec.Raw:
    """The anchor as a part of a position."""
    return msgspec.Raw(b"null" if anchor is None else anchor.model_dump_json(by_alias=True).encode())
