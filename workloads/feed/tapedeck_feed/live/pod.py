"""A live Feed as a pod's workload: from the spec to a session."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import Interrupted, Unavailable
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Markets
from tapedeck_feed.exchanges.connect import opened, read_keys, until_stopped
from tapedeck_feed.exchanges.registry import adapter_of
from tapedeck_feed.exchanges.retry import waited
from tapedeck_feed.exchanges.tasks import first_failure
from tapedeck_feed.live.engine import Session
from tapedeck_feed.live.listing_monitor import Catalogue
from tapedeck_feed.live.options import LiveOptions, options_of, share
from tapedeck_feed.live.resume import Tail, read_tails
from tapedeck_feed.live.symbol_state import reaches_back
from tapedeck_feed.output.publisher import Publisher
from tapedeck_feed.output.record_publisher import Outlet
from tapedeck_feed.output.stats import LiveTally

LINGER_MS = 2  # a trade should be on the log within 20 ms
MESSAGE_MAX = 500  # characters


class LiveFeed(Workload):
    """One pod of a live Feed."""

    def __init__(self, settings: PodSettings, spec: FeedSpec) -> None:
        super().__init__()
        self._settings = settings
        self._spec = spec
        self._state: ReportState = "starting"
        self._reason, self._message = "Connecting", f"asking {spec.exchange} for its markets"
        self._left_out = ""
        self._session: Session | None = None
        self.tally = LiveTally()

    def report(self) -> FeedReport:
        """The state of the session and the counts so far."""
        state, reason, message = self._state, self._reason, self._message
        if state == "running" and self._session is not None:
            trouble = self._session.trouble
            reason = "Reconnecting" if trouble else "Live"
            message = trouble or f"{self.tally.symbols} symbols of {self._spec.exchange}{self._left_out}"
        return self.tally.report(state, reason, message)

    def run(self) -> None:
        """Ingest until a stop is requested. Raises InvalidInput and Unavailable."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = Publisher(
            connections, f"feed-{settings.name}", self.stop_requested, source="live", linger_ms=LINGER_MS
        )
        try:
            asyncio.run(self._work(connections, publisher, read_keys(settings.exchange_keys)))
        except Interrupted:
            publisher.abandon()
        except TimeoutError as error:
            publisher.abandon()
            raise Unavailable(f"{self._spec.exchange}: no answer in time {error}".strip()) from error
        except BaseException:
            publisher.abandon()
            raise
        self._state, self._reason, self._message = "complete", "Stopped", "stopped on request"
        log.info("stopped", trades=self.tally.trades, bars=self.tally.bars)

    async def _work(self, connections: Connections, publisher: Publisher, keys: dict[str, str]) -> None:
        adapter = adapter_of(self._spec.exchange or "", keys, self._spec.endpoints)
        await until_stopped(self._listen(adapter, connections, publisher), adapter, self.stop_requested)

    async def _listen(self, adapter: Adapter, connections: Connections, publisher: Publisher) -> None:
        markets = await self._open(adapter)
        options = options_of(self._spec, markets)
        self.tally.symbols = len(markets.symbols)
        tails = await asyncio.to_thread(self._tails, connections, markets, options)
        outlet = Outlet(self._settings.name, adapter.exchange, publisher, self.tally)
        settings = self._settings
        catalogue = Catalogue(adapter, markets, outlet, settings.markets_seconds)
        self._session = Session(adapter, markets, options, outlet, self.tally, tails, settings.silence_seconds)
        self._state = "running"
        log.info("live", exchange=adapter.exchange, symbols=len(markets.symbols), resumed=sum(
            bool(tail.trades or tail.bars) for tail in tails.values()))  # fmt: skip
        await first_failure([self._session.run(), catalogue.keep()])

    async def _open(self, adapter: Adapter) -> Markets:
        """The pod's share of the markets that are traded: to listen to another is an error on some exchanges."""
        markets = await opened(adapter, self._spec.symbols or (), self._trying)
        traded = [symbol for symbol in markets.symbols if symbol not in markets.idle]
        if not traded:
            got = ", ".join(markets.symbols)
            raise BadInput(
                "NotTraded", f"symbols: got {got}; {adapter.exchange} trades none of them, or not at present"
            )
        if idle := sorted(markets.idle):
            self._left_out = f"; not traded: {', '.join(idle)}"[:MESSAGE_MAX]
        shard, shards = self._settings.shard, self._spec.shards or 1
        return replace(markets, symbols=share(traded, shard, shards), idle=frozenset(share(idle, shard, shards)))

    def _trying(self, error: Exception) -> bool | float:
        if again := waited(error):
            self._reason, self._message = "Unreachable", str(error)[:MESSAGE_MAX]
        return again

    def _tails(self, connections: Connections, markets: Markets, options: LiveOptions) -> dict[str, Tail]:
        intervals = options.built_intervals
        return read_tails(
            connections, self._spec.exchange or "", markets.symbols, lambda tail: reaches_back(tail, intervals)
        )
