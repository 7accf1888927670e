"""What a spec asks of an exchange, checked against what that has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tapedeck_common.topics import shard_of
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.live import Channel
from tapedeck_feed.exchanges.adapter import BadInput, Markets, Stream
from tapedeck_feed.live.bar_series import Fill

CHUNK = 100  # symbols that share a subscription


@dataclass(frozen=True)
class LiveOptions:
    """``built_intervals`` are made of trades, ``own_intervals`` are the exchange's bars."""

    channels: tuple[Channel, ...]
    built_intervals: tuple[str, ...]
    own_intervals: tuple[str, ...]
    fill: Fill
    lateness_ms: int

    @property
    def needs_trades(self) -> bool:
        """Whether trades are to be listened to."""
        return "trades" in self.channels or bool(self.built_intervals)


def options_of(spec: FeedSpec, markets: Markets) -> LiveOptions:
    """Raises BadInput for what the exchange lacks."""
    exchange = spec.exchange
    channels: tuple[Channel, ...] = tuple(spec.channels or ("trades", "bars"))
    intervals = tuple(spec.intervals or ("1m",)) if "bars" in channels else ()
    for channel in ("trades", "ticker"):
        if channel in channels and channel not in markets.streams:
            can = ", ".join(sorted(markets.streams)) or "none"
            note = f" ({markets.note})" if markets.note else ""
            raise BadInput(
                "UnsupportedChannel",
                f"channels: got {channel}, which {exchange} does not send{note}; expected of: {can}",
            )
    sent = markets.bar_intervals if markets.sent_intervals is None else markets.sent_intervals
    own = "trades" not in channels and "bars" in markets.streams and set(intervals) <= sent
    if intervals and not own and "trades" not in markets.streams:
        raise BadInput(
            "UnsupportedChannel",
            f"channels: got bars, for which {exchange} sends neither trades nor bars of {', '.join(intervals)}",
        )
    lateness = 2.0 if spec.lateness is None else spec.lateness
    return LiveOptions(
        channels, () if own else intervals, intervals if own else (), spec.fill or "none", round(lateness * 1000)
    )


def share(symbols: Sequence[str], shard: int, shards: int) -> tuple[str, ...]:
    """The symbols of one shard: crc32(symbol) mod shards, so that a symbol stays where it is when others come."""
    return tuple(symbol for symbol in symbols if shard_of(symbol, shards) == shard)


def streams_of(symbols: Sequence[str], options: LiveOptions) -> list[Stream]:
    """The subscriptions that bring it."""
    parts = [tuple(symbols[i : i + CHUNK]) for i in range(0, len(symbols), CHUNK)]
    streams = [Stream("trades", part) for part in parts] if options.needs_trades else []
    streams += [Stream("bars", part, interval) for interval in options.own_intervals for part in parts]
    return streams + [Stream("ticker", part) for part in parts if "ticker" in options.channels]
