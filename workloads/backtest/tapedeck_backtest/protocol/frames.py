"""Frames on a pipe: four bytes of length, then one message in MessagePack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tapedeck_crds.errors import InvalidInput

LENGTH_BYTES = 4
FRAME_MAX = 1_048_576  # bytes of a message from the strategy's process; the broker takes no longer record either


def framed(payload: bytes) -> bytes:
    """The frame of a message."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


@dataclass
class FrameReader:
    """Cuts bytes into frames. It holds one incomplete frame of at most FRAME_MAX bytes."""

    _received: bytearray = field(default_factory=bytearray)

    def feed(self, received: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete. Raises InvalidInput for one that is too long."""
        self._received += received
        position = 0
        while len(self._received) - position >= LENGTH_BYTES:
            begin = position + LENGTH_BYTES
            length = int.from_bytes(self._received[position:begin], "big")
            if length > FRAME_MAX:
                raise InvalidInput(f"a message of {length:,} bytes, expected at most {FRAME_MAX:,}")
            if len(self._received) < begin + length:
                break
            yield bytes(self._received[begin : begin + length])
            position = begin + length
        del self._received[:position]
