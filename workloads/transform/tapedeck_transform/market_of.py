"""Whose records are transformed: a Feed's on the topics of the market, a Replay's on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from confluent_kafka import Message

from tapedeck_common import topics, wire
from tapedeck_common.market import Source
from tapedeck_common.wire import Headers
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.live import Channel
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.transforms import Transform
from tapedeck_transform.layout import channels_of
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
class Market:
    """Which records of which topics; ``channels`` by topic.

    ``replay`` is the uid of the one whose topic it is; ``recorded_as`` the exchange id under which its points are kept.
    """

    channels: dict[str, Channel]
    exchange: str = ""
    symbols: tuple[str, ...] = ()
    sources: frozenset[Source] = frozenset()
    replay: str = ""
    recorded_as: str = ""
    _keys: dict[bytes, bool] = field(default_factory=dict)

    def wants(self, key: bytes | None) -> bool:
        """Whether records of this key may be meant."""
        if self.replay:
            return True
        if key is None:
            return False
        known = self._keys.get(key)
        if known is None:
            exchange, _, symbol = key.decode(errors="replace").partition(":")
            fits = exchange == self.exchange and any(fnmatchcase(symbol, each) for each in self.symbols)
            known = self._keys[key] = fits
        return known

    def record(self, message: Message) -> Record | None:
        """The record of a message, None where it is another's, or no closed bar. Raises ValueError for a bad one."""
        origin = wire.origin_of(message.headers())
        if origin.control or (origin.replay_uid != self.replay if self.replay else origin.source not in self.sources):
            return None
        record = _DECODE[self.channels[message.topic() or ""]](message.value() or b"")
        return record if getattr(record, "closed", True) else None

    def control(self, message: Message) -> wire.ControlRecord | None:
        """What a Replay's control record says. Raises ValueError for a bad one."""
        if not self.replay or not wire.origin_of(message.headers()).control:
            return None
        record: wire.ControlRecord = wire.decode_control(message.value() or b"")
        return record

    def headers(self, message: Message) -> Headers:
        """What the points of a message's record are headed with: the same."""
        if self.replay:
            origin = wire.origin_of(message.headers())
            return wire.replay_headers(self.replay, wire.Epoch.parse(origin.epoch))
        return wire.market_headers(wire.origin_of(message.headers()).source)


def of_feed(spec: FeedSpec, transforms: Sequence[Transform]) -> Market:
    """A Feed's: live records, without the pages of a backfill, which come from the newest on; or those of its files."""
    channels = {TOPICS[channel]: channel for channel in channels_of(transforms).values()}
    if spec.source is not None and spec.source.files is not None:
        files = spec.source.files
        symbols = tuple(dict.fromkeys(each.symbol for each in files.sets))
        return Market(channels, files.exchange, symbols, frozenset({"backfill"}))
    return Market(channels, spec.exchange or "", tuple(spec.symbols or ()), frozenset({"live"}))


def of_replay(spec: ReplaySpec, uid: str, name: str) -> Market:
    """A Replay's: what it plays."""
    channel: Channel = "trades" if spec.source.channel == "trades" else "bars"
    recorded = f"replay.{name}" if spec.record else ""
    return Market({topics.replay_topic(uid): channel}, replay=uid, recorded_as=recorded)
