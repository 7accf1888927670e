"""Mirroring: a second copy of each record on the live market's topic, in the same transactions."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_common import wire
from tapedeck_common.market import recorded_market, series_key
from tapedeck_common.topics import MARKET_BARS, MARKET_TRADES
from tapedeck_common.wire import Headers
from tapedeck_crds.replay import ReplaySpec


@dataclass(frozen=True)
class MirrorTopic:
    """A topic that receives a copy of each record, under the exchange id ``new_exchange`` instead of ``exchange``.

    ``headers`` None: the same as on the replay's own topic.
    """

    topic: str
    headers: Headers | None
    exchange: str
    new_exchange: str

    def rewrite(self, value: bytes, key: bytes) -> tuple[bytes, bytes]:
        """Value and key of the copy."""
        if self.exchange == self.new_exchange:
            return value, key
        # The exchange is the first field of a record, and the first part of its key: no parsing is needed.
        return (
            _first_field(self.new_exchange) + value[len(_first_field(self.exchange)) :],
            series_key(self.new_exchange, "").encode() + key[len(series_key(self.exchange, "").encode()) :],
        )


def mirror_topics(spec: ReplaySpec, name: str, uid: str, exchange: str) -> list[MirrorTopic]:
    """The copies that a spec requests: for live consumers (``target``), and for the store (``record``)."""
    mirrors = []
    if spec.target is not None:
        mirrors.append(MirrorTopic(spec.target.topic, None, exchange, exchange))
    if spec.record:
        # Not the stream's headers: the recorder drops records of a stream, and keeps those of this exchange id.
        mirrors.append(MirrorTopic(market_topic(spec), wire.copy_headers(uid), exchange, recorded_market(name)))
    return mirrors


def market_topic(spec: ReplaySpec) -> str:
    """The live market's topic for the channel that is played."""
    return MARKET_TRADES if spec.source.channel == "trades" else MARKET_BARS


def _first_field(exchange: str) -> bytes:
    return b'{"exchange":' + wire.encode(exchange)
