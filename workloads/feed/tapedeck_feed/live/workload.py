"""A live Feed as a pod's workload: its markets, where its predecessor ended, and its live engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import Interrupted, Unavailable
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeMarkets
from tapedeck_feed.exchanges.errors import InvalidFeedInput
from tapedeck_feed.exchanges.lifecycle import read_api_keys, run_until_first_ends, run_until_stopped
from tapedeck_feed.exchanges.registry import create_adapter
from tapedeck_feed.exchanges.retry import retry_delay, until_connected
from tapedeck_feed.live.engine import LiveEngine
from tapedeck_feed.live.listing_monitor import ListingMonitor
from tapedeck_feed.live.options import LiveOptions, create_options, symbols_of_shard
from tapedeck_feed.live.resume import PublishedRecords, read_published_records
from tapedeck_feed.live.symbol_state import covers_running_bars
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.record_publisher import RecordPublisher
from tapedeck_feed.output.sessions import publish_sessions
from tapedeck_feed.output.stats import FeedStats

LINGER_MS = 2  # a trade should be on the log within 20 ms
WITHOUT_IDS_NOTE = "; its trades have no ids: equal ones of one millisecond cannot be told apart and count once"
MESSAGE_MAX = 500  # characters


class LiveFeedWorkload(Workload):
    """One pod of a live Feed."""

    def __init__(self, settings: PodSettings, spec: FeedSpec) -> None:
        super().__init__()
        self._settings = settings
        self._spec = spec
        self._state: ReportState = "starting"
        self._reason, self._message = "Connecting", f"loading the markets of {spec.exchange}"
        self._not_traded_note = ""
        self._engine: LiveEngine | None = None
        self.stats = FeedStats()

    def report(self) -> FeedReport:
        """The state of the engine and the counts so far."""
        state, reason, message = self._state, self._reason, self._message
        if state == "running" and self._engine is not None:
            trouble = self._engine.trouble
            reason = "Reconnecting" if trouble else "Live"
            symbols = f"{self.stats.symbols} symbols of {self._spec.exchange}{self._not_traded_note}"
            message = trouble or symbols + (WITHOUT_IDS_NOTE if self.stats.without_ids else "")
        return self.stats.report(state, reason, message)

    def run(self) -> None:
        """Ingest until a stop is requested. Raises InvalidInput and Unavailable."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = MarketDataPublisher(
            connections, f"feed-{settings.name}", self.stop_requested, source="live", linger_ms=LINGER_MS
        )
        try:
            asyncio.run(self._run(connections, publisher, read_api_keys(settings.exchange_keys)))
        except Interrupted:
            publisher.abort()
        except TimeoutError as error:
            publisher.abort()
            raise Unavailable(f"{self._spec.exchange}: no response in time {error}".strip()) from error
        except BaseException:
            publisher.abort()
            raise
        self._state, self._reason, self._message = "complete", "Stopped", "stopped on request"
        log.info("stopped", trades=self.stats.trades, bars=self.stats.bars)

    async def _run(self, connections: Connections, publisher: MarketDataPublisher, keys: dict[str, str]) -> None:
        spec, pods = self._spec, self._spec.shards or 1
        adapter = create_adapter(spec.exchange or "", keys, spec.endpoints, self._settings.endpoints, pods)
        await run_until_stopped(self._ingest(adapter, connections, publisher), adapter, self.stop_requested)

    async def _ingest(self, adapter: ExchangeAdapter, connections: Connections, publisher: MarketDataPublisher) -> None:
        markets = await self._load_markets(adapter)
        options = create_options(self._spec, markets)
        self.stats.symbols = len(markets.symbols)
        published = await asyncio.to_thread(self._read_published, connections, markets, options)
        settings = self._settings
        output = RecordPublisher(settings.name, adapter.exchange, publisher, self.stats)
        publish_sessions(publisher, self._spec.session, adapter.exchange, markets.symbols)
        listings = ListingMonitor(adapter, markets, output, settings.markets_seconds)
        self._engine = LiveEngine(adapter, markets, options, output, self.stats, published, settings.silence_seconds)
        self._state = "running"
        resumed = sum(bool(records.trades or records.bars) for records in published.values())
        log.info("live", exchange=adapter.exchange, symbols=len(markets.symbols), resumed=resumed)
        await run_until_first_ends([self._engine.run(), listings.run()])

    async def _load_markets(self, adapter: ExchangeAdapter) -> ExchangeMarkets:
        """The pod's shard of the traded symbols: some exchanges reject subscriptions to others."""
        load_markets = partial(adapter.load_markets, self._spec.symbols or ())
        markets = await until_connected(load_markets, self._decide_retry)
        traded = [symbol for symbol in markets.symbols if symbol not in markets.inactive]
        if not traded:
            raise InvalidFeedInput(
                "NotTraded",
                f"symbols: got {', '.join(markets.symbols)}; {adapter.exchange} trades none of them at present",
            )
        inactive = sorted(markets.inactive)
        if inactive:
            self._not_traded_note = f"; not traded: {', '.join(inactive)}"[:MESSAGE_MAX]
        shard, shards = self._settings.shard, self._spec.shards or 1
        return replace(
            markets,
            symbols=symbols_of_shard(traded, shard, shards),
            inactive=frozenset(symbols_of_shard(inactive, shard, shards)),
        )

    def _decide_retry(self, error: Exception) -> bool | float:
        if decision := retry_delay(error):
            self._reason, self._message = "Unreachable", str(error)[:MESSAGE_MAX]
        return decision

    def _read_published(
        self, connections: Connections, markets: ExchangeMarkets, options: LiveOptions
    ) -> dict[str, PublishedRecords]:
        return read_published_records(
            connections,
            self._spec.exchange or "",
            markets.symbols,
            lambda published: covers_running_bars(published, options.built_intervals),
        )
