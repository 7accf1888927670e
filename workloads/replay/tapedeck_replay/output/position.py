"""The position of a shard, committed as the metadata of its group's offset in each transaction."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tapedeck_common.json_text import json_decoder
from tapedeck_common.log_positions import LogPosition
from tapedeck_common.market import OrderKey
from tapedeck_common.wire import ClockState, Epoch, Watermark
from tapedeck_crds.clock import Anchor

METADATA_MAX = 4096  # bytes; the broker's offset.metadata.max.bytes


class ReplayPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a successor resumes from.

    ``v`` is the event time up to which the partition is complete, milliseconds UTC. ``last`` is the order key of the
    last record of the epoch, None before the first. ``passed`` counts the records of one pass up to ``v`` (None: not
    known), ``published`` those of all epochs on the partition. ``copies`` are the positions after the copies on the
    partitions of the mirror topic.
    """

    v: int
    epoch: str = "0.0"
    last: OrderKey | None = None
    passed: int | None = None
    published: int = 0
    anchor: msgspec.Raw = msgspec.Raw(b"null")
    ended: bool = False
    copies: dict[int, LogPosition] = {}

    @property
    def control_epoch(self) -> int:
        """How many seeks there were."""
        return Epoch.parse(self.epoch).control

    @property
    def anchor_in_force(self) -> Anchor | None:
        text = bytes(self.anchor)
        return None if text == b"null" else Anchor.model_validate_json(text)

    def watermark(self, lateness: int = 0, clock: ClockState | None = None) -> Watermark:
        """The watermark record of this position; ``lateness`` as in Dataset, milliseconds."""
        return Watermark(self.epoch, self.v - lateness, self.last, self.published, clock)


_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes | str], ReplayPosition] = json_decoder(ReplayPosition)


def to_metadata(position: ReplayPosition) -> str:
    """The position as text of at most METADATA_MAX bytes."""
    return _encode(position).decode()


def from_metadata(text: str) -> ReplayPosition:
    """The position that the text holds. Raises ValueError for text that ``to_metadata`` did not write."""
    return _decode(text)


def anchor_json(anchor: Anchor | None) -> msgspec.Raw:
    """The anchor as the JSON that a position embeds."""
    return msgspec.Raw(b"null" if anchor is None else anchor.model_dump_json(by_alias=True).encode())
