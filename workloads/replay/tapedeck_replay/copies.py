"""Records that go to the live market's topic too, in the same transactions."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_common import wire
from tapedeck_common.market import series_key
from tapedeck_common.topics import MARKET_BARS, MARKET_TRADES
from tapedeck_common.wire import Headers
from tapedeck_crds.replay import ReplaySpec


@dataclass(frozen=True)
class Copy:
    """A second record of each. ``headers`` None: as on the replay's own topic.

    ``old`` and ``new`` are exchange ids: where they differ it goes under the new one.
    """

    topic: str
    headers: Headers | None
    old: str
    new: str

    def of(self, value: bytes, key: bytes) -> tuple[bytes, bytes]:
        """Value and key of the copy."""
        if self.old == self.new:
            return value, key
        # The exchange is the first field of a record, and the first part of its key.
        return (
            _head(self.new) + value[len(_head(self.old)) :],
            series_key(self.new, "").encode() + key[len(series_key(self.old, "").encode()) :],
        )


def copies_of(spec: ReplaySpec, name: str, exchange: str) -> list[Copy]:
    """What a spec asks for: one for live consumers, told apart by its header, and one that the recorder keeps."""
    found = []
    if spec.target is not None:
        found.append(Copy(spec.target.topic, None, exchange, exchange))
    if spec.record:
        # The recorder drops what is replayed: this is a market of its own, by its source and its exchange id.
        found.append(Copy(market_topic(spec), wire.market_headers("synthetic"), exchange, f"replay.{name}"))
    return found


def market_topic(spec: ReplaySpec) -> str:
    """The live market's topic of what is played."""
    return MARKET_TRADES if spec.source.channel == "trades" else MARKET_BARS


def _head(exchange: str) -> bytes:
    return b'{"exchange":' + wire.encode(exchange)
