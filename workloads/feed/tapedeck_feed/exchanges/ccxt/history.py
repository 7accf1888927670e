"""What an exchange tells of the past by ccxt: trades behind a known one, and bars."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_feed.exchanges.adapter import Past, Refuse, Unanswerable, trade_order
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_bar, to_trade

T = TypeVar("T")
PAGE = 1000
PAGE_UNKNOWN = 100
PAGES_MAX = 200
AHEAD_MS = 60_000  # by which an exchange's clock may be ahead


class CcxtPast:
    """Its pages, as the adapter's ``trades_after`` and ``bars_from``."""

    def __init__(self, client: CcxtClient) -> None:
        self._client = client

    async def trades_after(self, symbol: str, last: Trade) -> Past:
        """By id where the exchange can, else by time."""
        if self._client.traits.backwards:
            return await self._back_to(symbol, last)
        recent = [] if self._client.traits.by_time else await self._trades(symbol, None, self._client.traits.recent)
        if self._client.traits.contiguous and recent and int(recent[0].id) <= int(last.id) + 1:
            return Past(recent, whole=True)
        found: list[Trade] = []
        behind, whole = last, False
        for _ in range(PAGES_MAX):
            page = await self._page_behind(symbol, behind)
            whole = whole or any(trade.id == last.id for trade in page)
            fresh = [trade for trade in page if trade.id != behind.id and trade.ts >= behind.ts]
            found += fresh
            newest = max(fresh, key=trade_order, default=None)
            if newest is None or newest.id == behind.id or (len(page) < 2 and not self._client.traits.contiguous):
                break
            behind = newest
        else:
            return Past(found, whole, more=True)
        return Past(found or recent, whole)

    async def bars_from(
        self, symbol: str, interval: str, since: int, until: int, refuse: Refuse | None = None
    ) -> list[Bar]:
        """Page by page, each behind the last bar of the one before, or behind a page that is empty."""
        found: dict[int, Bar] = {}
        at, step, width = since, INTERVAL_MS[interval], self._limit(symbol) or PAGE
        for _ in range(PAGES_MAX):
            rows = await self._client.ask(partial(self._client.api.fetch_ohlcv, symbol, interval, at, PAGE))
            bars = [self._bar(symbol, interval, row, refuse) for row in rows]
            if rows and not any(bars):
                raise Unanswerable(
                    f"{self._client.exchange}: none of {len(rows)} candles can be read: {str(rows[0])[:200]}"
                )
            fresh = {bar.ts: bar for bar in bars if bar is not None and at <= bar.ts < until}
            found |= fresh
            # Some answer with what lies within a page's time alone, others with what comes next, however late.
            at = max(fresh) + step if fresh else at + width * step
            if at >= until or any(bar is not None and bar.ts >= until for bar in bars):
                break
        return [found[ts] for ts in sorted(found)]

    def page(self, symbol: str) -> int:
        """How many bars come at once: as ccxt knows, else few enough for any exchange."""
        return self._limit(symbol) or PAGE_UNKNOWN

    async def _back_to(self, symbol: str, last: Trade) -> Past:
        """From now backwards, where a page holds the newest trades of a span."""
        found: dict[str, Trade] = {}
        until = time.time_ns() // 1_000_000 + AHEAD_MS
        for _ in range(PAGES_MAX):
            page = await self._trades(symbol, last.ts - 1, {"until": until})
            fresh = [trade for trade in page if trade.id not in found]
            found |= {trade.id: trade for trade in fresh}
            if not fresh or last.id in found:
                break
            until = min(trade.ts for trade in fresh) + 1000  # it counts in seconds
        return Past(list(found.values()), last.id in found)

    async def _page_behind(self, symbol: str, behind: Trade) -> list[Trade]:
        traits = self._client.traits
        if traits.by_time:
            return await self._trades(symbol, behind.ts - 1, {})
        if traits.behind is None or (traits.behind_needs_key and not self._client.keyed):
            return []
        return await self._trades(symbol, None, {**traits.behind, traits.id_parameter: str(int(behind.id) + 1)})

    async def _trades(self, symbol: str, since: int | None, parameters: Any) -> list[Trade]:
        rows = await self._client.ask(lambda: self._client.api.fetch_trades(symbol, since, PAGE, dict(parameters)))
        contiguous = self._client.traits.contiguous
        read = [_or_none(partial(to_trade, self._client.exchange, symbol, row, contiguous=contiguous)) for row in rows]
        return [trade for trade in read if trade is not None]

    def _limit(self, symbol: str) -> int | None:
        limit = self._client.api.feature_value(symbol, "fetchOHLCV", "limit")
        return min(limit, PAGE) if isinstance(limit, int) and limit > 0 else None

    def _bar(self, symbol: str, interval: str, row: Any, refuse: Refuse | None) -> Bar | None:
        try:
            return to_bar(self._client.exchange, symbol, interval, row, closed=True)
        except (ValueError, KeyError, TypeError) as error:
            if refuse is not None:
                refuse(str(error), str(row))
            return None


def _or_none(convert: Callable[[], T]) -> T | None:
    """None for what can't be taken: it stays missing, and is told as such."""
    try:
        return convert()
    except (ValueError, KeyError, TypeError):
        return None
