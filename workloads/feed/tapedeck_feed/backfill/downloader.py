"""Downloads missing bars page by page, and reports what became of each missing range."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Literal, NamedTuple

import stamina

from tapedeck_common.market import Bar
from tapedeck_common.records import Gap
from tapedeck_crds.base import format_ms
from tapedeck_feed.backfill.ranges import GapTracker, PageRequest, Range, SeriesSlice, gaps_in, page_requests
from tapedeck_feed.backfill.stats import BackfillStats
from tapedeck_feed.backfill.stored_bars import SliceCoverage
from tapedeck_feed.exchanges.adapter import ExchangeAdapter
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed
from tapedeck_feed.exchanges.retry import retry_delay
from tapedeck_feed.output.record_publisher import RecordPublisher

ATTEMPTS = 6
REQUESTS_PER_PAGE = 3
PAGES_AHEAD = 3  # pages requested while one is processed
FAILED_PAGES_MAX = 10  # consecutive failed pages: the next ones would fail too


class PageResult(NamedTuple):
    """A page's bars by open time; or none, with the error that the exchange's last response was."""

    request: PageRequest
    bars: dict[int, Bar]
    error: ExchangeRequestFailed | None = None


class BarDownloader:
    """Downloads what the store lacks of a shard's slices. ``failed_pages`` counts those that had no usable response."""

    def __init__(self, adapter: ExchangeAdapter, output: RecordPublisher, stats: BackfillStats, page_size: int) -> None:
        self._adapter = adapter
        self._output = output
        self._stats = stats
        self._page_size = page_size
        self._trackers: dict[tuple[SeriesSlice, int], GapTracker] = {}
        self._incomplete: set[tuple[SeriesSlice, int]] = set()
        self.failed_pages = 0

    async def download(self, coverage: dict[SeriesSlice, SliceCoverage]) -> None:
        """Publish the missing bars.

        Raises ExchangeUnreachable, InvalidFeedInput and DeliveryFailed, and ExchangeRequestFailed after ten
        consecutive failed pages.
        """
        missing = {each: covered.missing for each, covered in coverage.items()}
        for each, covered in coverage.items():
            for filled in covered.filled:
                self._publish_gap(each, filled, "filled")
        consecutive_failures = 0
        async with aclosing(self._request_ahead(page_requests(missing.items(), self._page_size))) as results:
            async for result in results:
                request = result.request
                self._process(result, missing[request.slice][request.range_index])
                self._stats.done += request.slice.bars_in(request.start, request.end)
                consecutive_failures = consecutive_failures + 1 if result.error is not None else 0
                if consecutive_failures >= FAILED_PAGES_MAX and result.error is not None:
                    raise result.error

    async def _request_ahead(self, requests: Iterator[PageRequest]) -> AsyncGenerator[PageResult, None]:
        """The results in order; the next pages are requested while one is processed."""
        pending: deque[asyncio.Task[PageResult]] = deque()
        try:
            for request in requests:
                pending.append(asyncio.ensure_future(self._request_page(request)))
                await asyncio.sleep(0)  # lets the request start
                if len(pending) > PAGES_AHEAD:
                    yield await pending.popleft()
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()

    async def _request_page(self, request: PageRequest) -> PageResult:
        """Request a page; request its gaps once more, because a page may be short, and an empty page twice more."""
        bars: dict[int, Bar] = {}
        try:
            for attempt in range(REQUESTS_PER_PAGE):
                gaps = gaps_in(request, bars)
                if not gaps or (attempt == REQUESTS_PER_PAGE - 1 and bars):
                    break
                bars |= await self._fetch_bars(request, gaps[-1][0], gaps[0][1], report_invalid=attempt == 1)
        except ExchangeRequestFailed as error:
            return PageResult(request, {}, error)
        return PageResult(request, bars)

    async def _fetch_bars(self, request: PageRequest, start: int, end: int, *, report_invalid: bool) -> dict[int, Bar]:
        symbol, interval = request.slice.symbol, request.slice.interval
        place = _place(interval, start, end)
        on_invalid = partial(self._output.refuse, symbol, place) if report_invalid else None
        async for attempt in stamina.retry_context(
            on=self._decide_retry, attempts=ATTEMPTS, timeout=300.0, wait_max=20.0
        ):
            with attempt:
                if attempt.num > 1:
                    self._stats.retries += 1
                bars = await self._adapter.fetch_bars(symbol, interval, start, end, on_invalid)
        return {bar.ts: bar for bar in bars}

    def _decide_retry(self, error: Exception) -> bool | float:
        self._stats.record_failure(error)
        return retry_delay(error)

    def _process(self, result: PageResult, whole: Range) -> None:
        """Publish a page's bars, and the gaps that are known whole now. ``whole`` is the page's missing range."""
        request, key = result.request, (result.request.slice, result.request.range_index)
        if key not in self._trackers:
            self._trackers[key] = GapTracker(*whole)
            self._publish_gap(request.slice, whole, "open")
        tracker = self._trackers[key]
        for ts in sorted(result.bars, reverse=True):
            self._output.publish_bar(result.bars[ts])
        if result.error is not None:
            self._report_failed_page(request, result.error)
            gaps = tracker.finish_gap()
        else:
            gaps = tracker.add_page(request, gaps_in(request, result.bars))
        for gap in gaps:
            self._stats.missing += request.slice.bars_in(*gap)
            self._publish_gap(request.slice, gap, "unfillable")
        if request.start == whole[0]:
            del self._trackers[key]
            if key not in self._incomplete and tracker.lowest > whole[0]:
                self._publish_gap(request.slice, (whole[0], tracker.lowest), "filled")

    def _report_failed_page(self, request: PageRequest, error: ExchangeRequestFailed) -> None:
        self.failed_pages += 1
        self._incomplete.add((request.slice, request.range_index))
        place = _place(request.slice.interval, request.start, request.end)
        reason = f"{error}; the next pod of this shard requests it again"
        self._output.publish_error(request.slice.symbol, place, reason)

    def _publish_gap(
        self, series_slice: SeriesSlice, gap: Range, state: Literal["open", "filled", "unfillable"]
    ) -> None:
        exchange, symbol, interval = self._adapter.exchange, series_slice.symbol, series_slice.interval
        self._output.publish_gap(Gap(exchange, symbol, interval, *gap, state))


def _place(interval: str, start: int, end: int) -> str:
    return f"bars {interval} opened in [{format_ms(start)}, {format_ms(end)})"
