"""A backfill as a pod's workload: from the spec to its share of the past."""

from __future__ import annotations

import asyncio
import time

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_crds.backfill import Backfill
from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.errors import Interrupted, TapedeckError, Unavailable
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.backfill.downloader import AHEAD, Filler
from tapedeck_feed.backfill.ranges import Share, shares_of
from tapedeck_feed.backfill.stats import BackfillTally
from tapedeck_feed.backfill.stored_bars import Known, known_of
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Markets, Unanswerable
from tapedeck_feed.exchanges.clock import ExchangeClock
from tapedeck_feed.exchanges.connect import answered, opened, read_keys, until_stopped
from tapedeck_feed.exchanges.registry import adapter_of
from tapedeck_feed.exchanges.retry import waited
from tapedeck_feed.output.publisher import Publisher
from tapedeck_feed.output.record_publisher import Outlet

GRACE_MS = 10_000  # an exchange may tell its newest candle a while after its end


class Incomplete(TapedeckError):
    """Some pages were not answered."""

    reason = "Incomplete"


class BackfillWorkload(Workload):
    """One pod of a backfill up to ``until`` (milliseconds UTC), which is the same for all of them."""

    def __init__(self, settings: PodSettings, spec: FeedSpec, asked: Backfill, until: int) -> None:
        super().__init__()
        self._settings = settings
        self._spec = spec
        self._asked = asked
        self._wanted = (time_ms(asked.from_), until if asked.to is None else min(time_ms(asked.to), until))
        self._state: ReportState = "starting"
        self._reason, self._message = "Connecting", f"asking {spec.exchange} for its markets"
        self.tally = BackfillTally()
        self.tally.start, self.tally.end = self._wanted

    def report(self) -> FeedReport:
        """The progress so far."""
        message = self._summary() if self._state == "running" else self._message
        return self.tally.report(self._state, self._reason, message)

    def run(self) -> None:
        """Download the missing bars. Raises InvalidInput, Unavailable, Incomplete and Interrupted."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = Publisher(connections, f"feed-{settings.name}-past", self.stop_requested)
        try:
            self._check_range()
            asyncio.run(self._work(connections, publisher, read_keys(settings.exchange_keys)))
        except Incomplete:
            raise
        except Interrupted as error:
            publisher.abandon()
            raise Interrupted(f"{error}; the next start resumes") from None
        except TimeoutError as error:
            publisher.abandon()
            raise Unavailable(f"{self._spec.exchange}: no answer in time {error}".strip()) from error
        except BaseException:
            publisher.abandon()
            raise
        self._state, self._reason, self._message = "complete", "Complete", self._summary()
        log.info("complete", message=self._message)

    def _check_range(self) -> None:
        start, end = self._wanted
        if start >= end:
            raise BadInput(
                "BadRange", f"backfill.from: got {self._asked.from_}, expected a time before {format_ms(end)}"
            )

    async def _work(self, connections: Connections, publisher: Publisher, keys: dict[str, str]) -> None:
        exchange = self._spec.exchange or ""
        adapter = adapter_of(exchange, keys, self._spec.endpoints, self._asked.shards, AHEAD)
        outlet = Outlet(self._settings.name, exchange, publisher, self.tally.sent)
        await until_stopped(self._bring(adapter, connections, outlet), adapter, self.stop_requested)

    async def _bring(self, adapter: Adapter, connections: Connections, outlet: Outlet) -> None:
        markets = await opened(adapter, self._spec.symbols or (), self._trying)
        intervals = self._intervals(markets)
        closed = await self._closed(adapter)
        shares = shares_of(markets.symbols, intervals, self._wanted, closed, self._settings.shard, self._asked.shards)
        mine = {share.symbol for share in shares}
        self.tally.sent.symbols = len(mine)
        outlet.listed(one for one in markets.listings if one.symbol in mine)
        self._reason, self._message = "Comparing", "looking up what the store has"
        known = await asyncio.to_thread(self._known, connections, shares)
        self._begin(known)
        filler = Filler(adapter, outlet, self.tally, markets.page)
        await filler.fill(known)
        outlet.drain()
        if filler.left:
            raise Incomplete(f"{filler.left} pages were not answered (see ingest_errors): {self.tally.last_error}")

    def _intervals(self, markets: Markets) -> tuple[str, ...]:
        intervals = tuple(self._asked.intervals or self._spec.intervals or ("1m",))
        if lacking := [interval for interval in intervals if interval not in markets.bar_intervals]:
            kept = ", ".join(sorted(markets.bar_intervals)) or "none"
            raise BadInput(
                "UnsupportedInterval",
                f"backfill.intervals: got {', '.join(lacking)}, of which {self._spec.exchange} keeps no bars; "
                f"expected of: {kept}",
            )
        return intervals

    async def _closed(self, adapter: Adapter) -> int:
        """When bars are surely over, by the exchange's clock and by this one.

        What is taken for over by mistake would be kept unfinished, or as what the exchange does not have: so the clock
        is asked for as patiently as the markets.
        """
        clock = ExchangeClock(adapter, self.tally.sent.set_clock_skew)
        try:
            await answered(clock.ask, self._trying)
        except Unanswerable as error:
            log.warning("the exchange's clock is not known, only this one's", reason=str(error)[:200])
        return min(clock.now(), time.time_ns() // 1_000_000) - GRACE_MS

    def _known(self, connections: Connections, shares: list[Share]) -> dict[Share, Known]:
        with connect(connections, name="feed-backfill", autocommit=True) as connection:
            return {share: known_of(connection, self._spec.exchange or "", share) for share in shares}

    def _begin(self, known: dict[Share, Known]) -> None:
        if known:
            self.tally.start = min(share.start for share in known)
            self.tally.end = max(share.end for share in known)
        total = sum(share.opens for share in known)
        lacking = sum((end - start) // share.step for share, one in known.items() for start, end in one.missing)
        self.tally.begin(total, total - lacking)
        self._state, self._reason = "running", "Backfilling"
        log.info("backfilling", symbols=self.tally.sent.symbols, bars=total, known=total - lacking)

    def _trying(self, error: Exception) -> bool | float:
        if again := waited(error):
            self.tally.retries += 1
            self.tally.failed(error)
            self._reason, self._message = "Unreachable", str(error)[:500]
        return again

    def _summary(self) -> str:
        tally = self.tally
        missing = f", {tally.missing} not to be had" if tally.missing else ""
        return f"{tally.done} of {tally.total} bars looked at, {tally.sent.bars} brought{missing}"
