"""A live Feed against the local exchange: its pod, what it left on the log, and its mender alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from exchange import Exchange, Market
from pods.feed import Pod
from pods.services import Services
from pods.topic import read_topic
from tapedeck_common.market import Trade
from tapedeck_common.settings import Connections
from tapedeck_crds.live import Channel
from tapedeck_feed.exchanges.adapter import Adapter
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.live.gap_recovery import Mender
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.output.publisher import Publisher
from tapedeck_feed.output.record_publisher import Outlet
from tapedeck_feed.output.stats import LiveTally

VALUES = ("open", "high", "low", "close", "volume")


def pod_of(services: Services, folder: Path, exchange: Exchange, name: str, symbol: str, **more: Any) -> Pod:
    """A pod of one symbol."""
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    spec = {"exchange": name, "symbols": [symbol], "endpoints": endpoints, **more}
    keys = {"apiKey": exchange.key} if name == "cryptocompare" else None
    return Pod(services.broker.bootstrap, folder, folder, spec, keys)


def trades(services: Services, name: str, symbol: str) -> list[tuple[int, float, float]]:
    """Id, price and amount of each trade of a symbol on the log."""
    rows = read_topic(services.broker.bootstrap, "market.trades", name)
    return [(int(v["id"]), v["price"], v["amount"]) for _, v, _ in rows if v["symbol"] == symbol]


def bars(services: Services, name: str, symbol: str) -> dict[int, tuple[float, ...]]:
    """The last word on each closed bar; each is said with the revision that follows."""
    rows = read_topic(services.broker.bootstrap, "market.bars", name)
    newest: dict[int, dict[str, Any]] = {}
    for _, v, _ in rows:
        if v["symbol"] == symbol and v["closed"]:
            assert v["rev"] == (newest[v["ts"]]["rev"] + 1 if v["ts"] in newest else 0), v
            newest[v["ts"]] = v
    return {ts: tuple(v[name] for name in VALUES) for ts, v in newest.items()}


def happened(own: Market) -> list[tuple[int, float, float]]:
    """The same of what has happened at the exchange."""
    return [(tick.id, float(tick.price), float(tick.amount)) for tick in own.ticks]


def outlet_of(services: Services, exchange: str) -> tuple[Outlet, Publisher, LiveTally]:
    """An outlet, what delivers for it, and what it counts."""
    tally = LiveTally()
    publisher = Publisher(Connections(kafka_bootstrap=services.broker.bootstrap), "live", Event())
    return Outlet("live", exchange, publisher, tally), publisher, tally


def mender_of(
    services: Services,
    adapter: Adapter,
    channels: tuple[Channel, ...],
    got: Callable[[Trade], None],
    own_intervals: tuple[str, ...] = (),
) -> tuple[Mender, LiveTally]:
    """A mender alone, its trades handed to ``got``, and what it counts."""
    outlet, _, tally = outlet_of(services, adapter.exchange)
    options = LiveOptions(channels, (), own_intervals, "none", 0)
    clock = ExchangeClock(adapter, tally.set_clock_skew)
    return Mender(adapter, options, clock, outlet, tally, lambda _, trade: got(trade), asyncio.Semaphore()), tally
