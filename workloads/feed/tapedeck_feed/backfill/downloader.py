"""Asking for page after page, and saying what came of each missing range."""

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
from tapedeck_feed.backfill.ranges import Holes, Page, Range, Share, holes_in, pages_of
from tapedeck_feed.backfill.stats import BackfillTally
from tapedeck_feed.backfill.stored_bars import Known
from tapedeck_feed.exchanges.adapter import Adapter, Unanswerable
from tapedeck_feed.exchanges.retry import waited
from tapedeck_feed.output.record_publisher import Outlet

ATTEMPTS = 6
TURNS = 3
AHEAD = 3  # pages asked for while one is worked on
LEFT_MAX = 10  # pages in a row without an answer: what follows would fare no better


class Answer(NamedTuple):
    """What came of a page: its bars by open, or none of it because the exchange can't answer."""

    page: Page
    bars: dict[int, Bar]
    fault: Unanswerable | None = None


class Filler:
    """Brings what a share's series lack. ``left`` counts the pages that the exchange could not answer."""

    def __init__(self, adapter: Adapter, outlet: Outlet, tally: BackfillTally, page: int) -> None:
        self._adapter = adapter
        self._outlet = outlet
        self._tally = tally
        self._page = page
        self._holes: dict[tuple[Share, int], Holes] = {}
        self._spoilt: set[tuple[Share, int]] = set()
        self.left = 0

    async def fill(self, known: dict[Share, Known]) -> None:
        """Raises Unreachable, BadInput, and Unanswerable where nothing is answered any more; Undelivered."""
        missing = {share: one.missing for share, one in known.items()}
        for share, one in known.items():
            for healed in one.healed:
                self._tell(share, healed, "filled")
        row = 0
        async with aclosing(self._ahead(pages_of(missing.items(), self._page))) as answers:
            async for answer in answers:
                share, number, start, end = answer.page
                self._take(answer, missing[share][number])
                self._tally.done += (end - start) // share.step
                row = row + 1 if answer.fault is not None else 0
                if row >= LEFT_MAX and answer.fault is not None:
                    raise answer.fault

    async def _ahead(self, pages: Iterator[Page]) -> AsyncGenerator[Answer, None]:
        """The answers in order; while one is worked on the next are under way."""
        asking: deque[asyncio.Task[Answer]] = deque()
        try:
            for page in pages:
                asking.append(asyncio.ensure_future(self._ask(page)))
                await asyncio.sleep(0)  # so that it sets out
                if len(asking) > AHEAD:
                    yield await asking.popleft()
            while asking:
                yield await asking.popleft()
        finally:
            for task in asking:
                task.cancel()

    async def _ask(self, page: Page) -> Answer:
        """A page; what did not come is asked for once more, because it may come short, and an empty one twice."""
        bars: dict[int, Bar] = {}
        try:
            for turn in range(TURNS):
                holes = holes_in(page, bars)
                if not holes or (turn == TURNS - 1 and bars):
                    break
                bars |= await self._bars(page, holes[-1][0], holes[0][1], last=turn == 1)
        except Unanswerable as fault:
            return Answer(page, {}, fault)
        return Answer(page, bars)

    async def _bars(self, page: Page, start: int, end: int, *, last: bool) -> dict[int, Bar]:
        symbol, interval = page.share.symbol, page.share.interval
        refuse = partial(self._outlet.error, symbol, _place(interval, start, end)) if last else None
        async for attempt in stamina.retry_context(on=self._again, attempts=ATTEMPTS, timeout=300.0, wait_max=20.0):
            with attempt:
                if attempt.num > 1:
                    self._tally.retries += 1
                found = await self._adapter.bars_from(symbol, interval, start, end, refuse)
        return {bar.ts: bar for bar in found}

    def _again(self, error: Exception) -> bool | float:
        self._tally.failed(error)
        return waited(error)

    def _take(self, answer: Answer, whole: Range) -> None:
        page, share = answer.page, answer.page.share
        key = (share, page.number)
        if key not in self._holes:
            self._holes[key] = Holes(*whole)
            self._tell(share, whole, "open")
        holes = self._holes[key]
        if answer.fault is not None:
            self.left += 1
            self._spoilt.add(key)
            reason = f"{answer.fault}; it is asked again by the next pod of this shard"
            self._outlet.error(share.symbol, _place(share.interval, page.start, page.end), reason, "")
        for ts in sorted(answer.bars, reverse=True):
            self._outlet.bar(answer.bars[ts])
        found = holes.cut() if answer.fault is not None else holes.add(page, holes_in(page, answer.bars))
        for hole in found:
            self._tally.missing += (hole[1] - hole[0]) // share.step
            self._tell(share, hole, "unfillable")
        if page.start == whole[0]:
            del self._holes[key]
            if key not in self._spoilt and holes.lowest > whole[0]:
                self._tell(share, (whole[0], holes.lowest), "filled")

    def _tell(self, share: Share, span: Range, state: Literal["open", "filled", "unfillable"]) -> None:
        self._outlet.gap(Gap(self._adapter.exchange, share.symbol, share.interval, *span, state))


def _place(interval: str, start: int, end: int) -> str:
    return f"bars {interval} opened in [{format_ms(start)}, {format_ms(end)})"
