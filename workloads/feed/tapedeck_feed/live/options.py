"""What a spec requests of an exchange, checked against what the exchange offers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tapedeck_common.topics import shard_of
from tapedeck_crds.exchange import Channel
from tapedeck_crds.feed import FeedSpec
from tapedeck_feed.exchanges.adapter import ExchangeMarkets, ExchangeStream
from tapedeck_feed.exchanges.errors import InvalidFeedInput
from tapedeck_feed.live.bar_series import Fill

SYMBOLS_PER_STREAM = 100


@dataclass(frozen=True)
class LiveOptions:
    """``built_intervals`` are built from trades, ``own_intervals`` are the exchange's own bars."""

    channels: tuple[Channel, ...]
    built_intervals: tuple[str, ...]
    own_intervals: tuple[str, ...]
    fill: Fill
    lateness_ms: int

    @property
    def needs_trades(self) -> bool:
        """Whether to subscribe to trades."""
        return "trades" in self.channels or bool(self.built_intervals)


def create_options(spec: FeedSpec, markets: ExchangeMarkets) -> LiveOptions:
    """Raises InvalidFeedInput where the exchange lacks a requested channel or interval."""
    exchange = spec.exchange
    channels: tuple[Channel, ...] = tuple(spec.channels or ("trades", "bars"))
    intervals = tuple(spec.intervals or ("1m",)) if "bars" in channels else ()
    for channel in ("trades", "ticker"):
        if channel in channels and channel not in markets.streams:
            supported = ", ".join(sorted(markets.streams)) or "none"
            note = f" ({markets.note})" if markets.note else ""
            raise InvalidFeedInput(
                "UnsupportedChannel",
                f"channels: got {channel}, which {exchange} does not send{note}; expected some of: {supported}",
            )
    streamed = markets.bar_intervals if markets.streamed_intervals is None else markets.streamed_intervals
    use_own = "trades" not in channels and "bars" in markets.streams and set(intervals) <= streamed
    if intervals and not use_own and "trades" not in markets.streams:
        raise InvalidFeedInput(
            "UnsupportedChannel",
            f"channels: got bars, for which {exchange} sends neither trades nor bars of {', '.join(intervals)}",
        )
    lateness = 2.0 if spec.lateness is None else spec.lateness
    return LiveOptions(
        channels,
        () if use_own else intervals,
        intervals if use_own else (),
        spec.fill or "none",
        round(lateness * 1000),
    )


def symbols_of_shard(symbols: Sequence[str], shard: int, shards: int) -> tuple[str, ...]:
    """crc32(symbol) mod shards, so that a symbol does not move to another shard when others are listed."""
    return tuple(symbol for symbol in symbols if shard_of(symbol, shards) == shard)


def required_streams(symbols: Sequence[str], options: LiveOptions) -> list[ExchangeStream]:
    """The subscriptions that deliver what the options request."""
    groups = [tuple(symbols[i : i + SYMBOLS_PER_STREAM]) for i in range(0, len(symbols), SYMBOLS_PER_STREAM)]
    streams = [ExchangeStream("trades", group) for group in groups] if options.needs_trades else []
    streams += [ExchangeStream("bars", group, interval) for interval in options.own_intervals for group in groups]
    return streams + [ExchangeStream("ticker", group) for group in groups if "ticker" in options.channels]
