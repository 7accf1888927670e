"""The topics and records that are transformed: a Feed's on the market's topics, or a Replay's on its own topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from confluent_kafka import Message

from tapedeck_common import topics, wire
from tapedeck_common.market import RecordSource, recorded_market
from tapedeck_common.wire import Headers
from tapedeck_crds.exchange import Channel
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.transforms import Transform
from tapedeck_transform.execution_plan import InvalidTransforms, channels_of
from tapedeck_transform.values import Record

TOPICS: dict[Channel, str] = {
    "trades": topics.MARKET_TRADES,
    "bars": topics.MARKET_BARS,
    "ticker": topics.MARKET_TICKERS,
}
_DECODE: dict[Channel, Callable[[bytes], Record]] = {
    "trades": wire.decode_trade,
    "bars": wire.decode_bar,
    "ticker": wire.decode_ticker,
}


@dataclass(frozen=True)
class TopicSelection:
    """Which records of which topics are transformed; ``channels`` by topic.

    ``replay`` is the uid of the Replay whose topic it is, empty for a Feed. ``recorded_as`` is the exchange id under
    which a Replay's points are stored, empty if they are not.
    """

    channels: dict[str, Channel]
    exchange: str = ""
    symbols: tuple[str, ...] = ()
    sources: frozenset[RecordSource] = frozenset()
    replay: str = ""
    recorded_as: str = ""
    _keys: dict[bytes, bool] = field(default_factory=dict)

    def matches_key(self, key: bytes | None) -> bool:
        """Whether records with this key may be selected."""
        if self.replay:
            return True
        if key is None:
            return False
        cached = self._keys.get(key)
        if cached is None:
            exchange, _, symbol = key.decode(errors="replace").partition(":")
            matches = exchange == self.exchange and any(fnmatchcase(symbol, each) for each in self.symbols)
            cached = self._keys[key] = matches
        return cached

    def record(self, message: Message) -> Record | None:
        """The record of a message; None if it is not selected, or an unclosed bar. Raises ValueError if invalid."""
        origin = wire.origin_of(message.headers())
        if origin.control or (origin.replay_uid != self.replay if self.replay else origin.source not in self.sources):
            return None
        record = _DECODE[self.channels[message.topic() or ""]](message.value() or b"")
        return record if getattr(record, "closed", True) else None

    def control(self, message: Message) -> wire.ControlRecord | None:
        """A Replay's control record; None for another message. Raises ValueError if it is invalid."""
        if not self.replay or not wire.origin_of(message.headers()).control:
            return None
        record: wire.ControlRecord = wire.decode_control(message.value() or b"")
        return record

    def point_headers(self, message: Message) -> Headers:
        """The headers of the points of a message's record: the source and the epoch of the record."""
        if self.replay:
            origin = wire.origin_of(message.headers())
            return wire.replay_headers(self.replay, wire.Epoch.parse(origin.epoch))
        return wire.market_headers(wire.origin_of(message.headers()).source)


def select_feed(spec: FeedSpec, transforms: Sequence[Transform]) -> TopicSelection:
    """A Feed's live records, without its backfill, which is not in order of time; or the records of its files."""
    channels = {TOPICS[channel]: channel for channel in channels_of(transforms).values()}
    if spec.source is not None and spec.source.files is not None:
        files = spec.source.files
        return TopicSelection(channels, files.exchange, files.symbols, frozenset({"backfill"}))
    return TopicSelection(channels, spec.exchange or "", tuple(spec.symbols or ()), frozenset({"live"}))


def select_replay(spec: ReplaySpec, transforms: Sequence[Transform], uid: str, name: str) -> TopicSelection:
    """The records of a Replay's topic. Raises InvalidTransforms for transforms of another channel than it plays."""
    channel: Channel = "trades" if spec.source.channel == "trades" else "bars"
    if others := [each for each, needed in channels_of(transforms).items() if needed != channel]:
        raise InvalidTransforms(
            f"transforms: got {', '.join(others)} of another channel, expected {channel}, which the Replay plays"
        )
    recorded = recorded_market(name) if spec.record else ""
    return TopicSelection({topics.replay_topic(uid): channel}, replay=uid, recorded_as=recorded)
