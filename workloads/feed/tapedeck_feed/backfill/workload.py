"""A backfill as a pod's workload: its slices of the range, their download, and its report."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_crds.backfill import Backfill
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import Interrupted, TapedeckError, Unavailable
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.backfill.downloader import PAGES_AHEAD, BarDownloader
from tapedeck_feed.backfill.options import intervals_of, range_of
from tapedeck_feed.backfill.ranges import SeriesSlice, slices_of_shard
from tapedeck_feed.backfill.stats import BackfillStats
from tapedeck_feed.backfill.stored_bars import SliceCoverage, load_coverage
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, InvalidFeedInput
from tapedeck_feed.exchanges.lifecycle import read_api_keys, run_until_stopped
from tapedeck_feed.exchanges.registry import create_adapter
from tapedeck_feed.exchanges.retry import retry_delay, until_connected
from tapedeck_feed.output.publisher import MarketDataPublisher
from tapedeck_feed.output.record_publisher import RecordPublisher
from tapedeck_feed.output.sessions import publish_sessions

CLOSE_GRACE_MS = 10_000  # an exchange may publish its newest candle a while after its close


class BackfillIncomplete(TapedeckError):
    """Some pages had no usable response. A retry requests them again."""

    reason = "Incomplete"


class BackfillWorkload(Workload):
    """One pod of a backfill up to ``until``, milliseconds UTC, which is the same for all its pods."""

    def __init__(self, settings: PodSettings, spec: FeedSpec, backfill: Backfill, until: int) -> None:
        super().__init__()
        self._settings = settings
        self._spec = spec
        self._backfill = backfill
        self._range = range_of(backfill, until)
        self._state: ReportState = "starting"
        self._reason, self._message = "Connecting", f"loading the markets of {spec.exchange}"
        self.stats = BackfillStats()
        self.stats.start, self.stats.end = self._range

    def report(self) -> FeedReport:
        """The progress so far."""
        message = self.stats.summary() if self._state == "running" else self._message
        return self.stats.report(self._state, self._reason, message)

    def run(self) -> None:
        """Download the missing bars. Raises InvalidInput, Unavailable, BackfillIncomplete and Interrupted."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = MarketDataPublisher(connections, f"feed-{settings.name}-past", self.stop_requested)
        try:
            self._check_range()
            asyncio.run(self._run(connections, publisher, read_api_keys(settings.exchange_keys)))
        except BackfillIncomplete:
            raise
        except Interrupted as error:
            publisher.abort()
            raise Interrupted(f"{error}; the next start resumes") from None
        except TimeoutError as error:
            publisher.abort()
            raise Unavailable(f"{self._spec.exchange}: no response in time {error}".strip()) from error
        except BaseException:
            publisher.abort()
            raise
        self._state, self._reason, self._message = "complete", "Complete", self.stats.summary()
        log.info("complete", message=self._message)

    def _check_range(self) -> None:
        start, end = self._range
        if start >= end:
            raise InvalidFeedInput(
                "BadRange", f"backfill.from: got {self._backfill.from_}, expected a time before {format_ms(end)}"
            )

    async def _run(self, connections: Connections, publisher: MarketDataPublisher, keys: dict[str, str]) -> None:
        exchange = self._spec.exchange or ""
        spec, policy = self._spec, self._settings.endpoints
        adapter = create_adapter(exchange, keys, spec.endpoints, policy, self._backfill.shards, PAGES_AHEAD)
        output = RecordPublisher(self._settings.name, exchange, publisher, self.stats.published)
        await run_until_stopped(self._download(adapter, connections, publisher, output), adapter, self.stop_requested)

    async def _download(
        self,
        adapter: ExchangeAdapter,
        connections: Connections,
        publisher: MarketDataPublisher,
        output: RecordPublisher,
    ) -> None:
        load_markets = partial(adapter.load_markets, self._spec.symbols or ())
        markets = await until_connected(load_markets, self._decide_retry)
        intervals = intervals_of(self._spec, self._backfill, markets)
        closed_until = await self._closed_until(adapter)
        shard, shards = self._settings.shard, self._backfill.shards
        slices = slices_of_shard(markets.symbols, intervals, self._range, closed_until, shard, shards)
        symbols = {each.symbol for each in slices}
        self.stats.published.symbols = len(symbols)
        output.publish_listings(listing for listing in markets.listings if listing.symbol in symbols)
        publish_sessions(publisher, self._spec.session, adapter.exchange, symbols)
        self._reason, self._message = "Comparing", "comparing the range with the store"
        coverage = await asyncio.to_thread(self._load_coverage, connections, slices)
        self._begin(coverage)
        downloader = BarDownloader(adapter, output, self.stats, markets.page)
        await downloader.download(coverage)
        output.flush()
        if downloader.failed_pages:
            raise BackfillIncomplete(
                f"{downloader.failed_pages} pages had no usable response (see ingest_errors): {self.stats.last_error}"
            )

    async def _closed_until(self, adapter: ExchangeAdapter) -> int:
        """When bars are surely closed, by the exchange's clock and by this pod's.

        A bar taken for closed too early would be stored unfinished, or recorded as one that the exchange does not
        have: so the clock is requested with as many retries as the markets.
        """
        clock = ExchangeClock(adapter, self.stats.published.set_clock_skew)
        try:
            await until_connected(clock.measure, self._decide_retry)
        except ExchangeRequestFailed as error:
            log.warning("cannot read the exchange's clock, using this pod's", reason=str(error)[:200])
        return min(clock.now(), time.time_ns() // 1_000_000) - CLOSE_GRACE_MS

    def _load_coverage(self, connections: Connections, slices: list[SeriesSlice]) -> dict[SeriesSlice, SliceCoverage]:
        with connect(connections, name="feed-backfill") as connection:
            return {each: load_coverage(connection, self._spec.exchange or "", each) for each in slices}

    def _begin(self, coverage: dict[SeriesSlice, SliceCoverage]) -> None:
        if coverage:
            self.stats.start = min(each.start for each in coverage)
            self.stats.end = max(each.end for each in coverage)
        total = sum(each.bars_in(each.start, each.end) for each in coverage)
        missing = sum(each.bars_in(*gap) for each, covered in coverage.items() for gap in covered.missing)
        self.stats.begin(total, total - missing)
        self._state, self._reason = "running", "Backfilling"
        log.info("backfilling", symbols=self.stats.published.symbols, bars=total, stored=total - missing)

    def _decide_retry(self, error: Exception) -> bool | float:
        if decision := retry_delay(error):
            self.stats.retries += 1
            self.stats.record_failure(error)
            self._reason, self._message = "Unreachable", str(error)[:500]
        return decision
