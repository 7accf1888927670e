"""A live Feed against the local exchange: its pod, its records on the log, and its gap recovery alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from exchange import Exchange, Market
from pods.feed import FeedPod
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Trade
from tapedeck_common.settings import Connections
from tapedeck_crds.exchange import Channel
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.live.gap_recovery import GapRecovery
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.record_publisher import RecordPublisher
from tapedeck_feed.output.stats import FeedStats

VALUES = ("open", "high", "low", "close", "volume")


def create_pod(services: Services, folder: Path, exchange: Exchange, name: str, symbol: str, **more: Any) -> FeedPod:
    """A pod of one symbol."""
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    spec = {"exchange": name, "symbols": [symbol], "endpoints": endpoints, **more}
    keys = {"apiKey": exchange.key} if name == "cryptocompare" else None
    return FeedPod(services.broker.bootstrap, folder, folder, spec, keys)


def published_trades(services: Services, name: str, symbol: str) -> list[tuple[int, float, float]]:
    """Id, price and amount of each trade of a symbol on the log."""
    rows = read_topic(services.broker.bootstrap, "market.trades", name)
    return [(int(v["id"]), v["price"], v["amount"]) for _, v, _ in rows if v["symbol"] == symbol]


def published_bars(services: Services, name: str, symbol: str) -> dict[int, tuple[float, ...]]:
    """The last revision of each closed bar of a symbol on the log. Revisions count up from 0."""
    rows = read_topic(services.broker.bootstrap, "market.bars", name)
    newest: dict[int, dict[str, Any]] = {}
    for _, v, _ in rows:
        if v["symbol"] == symbol and v["closed"]:
            assert v["rev"] == (newest[v["ts"]]["rev"] + 1 if v["ts"] in newest else 0), v
            newest[v["ts"]] = v
    return {ts: tuple(v[name] for name in VALUES) for ts, v in newest.items()}


def exchange_trades(market: Market) -> list[tuple[int, float, float]]:
    """Id, price and amount of each trade that has happened at the exchange."""
    return [(tick.id, float(tick.price), float(tick.amount)) for tick in market.ticks]


def create_output(services: Services, exchange: str) -> tuple[RecordPublisher, MarketDataPublisher, FeedStats]:
    """A record publisher, its producer and its counts."""
    stats = FeedStats()
    publisher = MarketDataPublisher(Connections(kafka_bootstrap=services.broker.bootstrap), "live", Event())
    return RecordPublisher("live", exchange, publisher, stats), publisher, stats


def create_gap_recovery(
    services: Services,
    adapter: ExchangeAdapter,
    channels: tuple[Channel, ...],
    on_trade: Callable[[Trade], None],
    own_intervals: tuple[str, ...] = (),
) -> tuple[GapRecovery, FeedStats]:
    """A gap recovery alone, which calls ``on_trade`` with its trades, and its counts."""
    output, _, stats = create_output(services, adapter.exchange)
    options = LiveOptions(channels, (), own_intervals, "none", 0)
    clock = ExchangeClock(adapter, stats.set_clock_skew)
    slots = asyncio.Semaphore()
    return GapRecovery(adapter, options, clock, output, stats, lambda _, trade: on_trade(trade), slots), stats
