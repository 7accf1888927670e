"""Past trades and bars by ccxt's REST requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from tapedeck_common.market import Bar, Trade, trade_key
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.exchanges.adapter import OnInvalidRow, RecoveredTrades
from tapedeck_feed.exchanges.ccxt.client import CcxtClient
from tapedeck_feed.exchanges.ccxt.conversion import to_bar
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed
from tapedeck_feed.exchanges.parsing import is_derived

T = TypeVar("T")
PAGE = 1000
PAGE_UNKNOWN = 100  # bars that every exchange returns at once
PAGES_MAX = 200
CLOCK_AHEAD_MAX = 60_000  # by which an exchange's clock may be ahead, milliseconds


class CcxtHistory:
    """The adapter's ``fetch_trades_after`` and ``fetch_bars``."""

    def __init__(self, client: CcxtClient) -> None:
        self._client = client

    async def fetch_trades_after(self, symbol: str, last: Trade) -> RecoveredTrades:
        """By id where the exchange can, else by time.

        Trades without ids are known by their values. Where none equals ``last``, REST may have other values than the
        websocket, so that no trade is used: it could be one that was published.
        """
        if not is_derived(last.id):
            return await self._fetch_after(symbol, last)
        self._client.capabilities = replace(self._client.capabilities, has_trade_ids=False)
        found = await self._fetch_after(symbol, last)
        return found if found.complete else RecoveredTrades([], complete=False)

    async def _fetch_after(self, symbol: str, last: Trade) -> RecoveredTrades:
        capabilities = self._client.capabilities
        if capabilities.newest_first:
            return await self._fetch_backwards(symbol, last)
        recent = [] if capabilities.trades_by_time else await self._trades(symbol, None, capabilities.recent_params)
        if capabilities.contiguous_ids and recent and int(recent[0].id) <= int(last.id) + 1:
            return RecoveredTrades(recent, complete=True)
        found: list[Trade] = []
        newest, overlaps = last, False
        for _ in range(PAGES_MAX):
            page = await self._page_after(symbol, newest)
            overlaps = overlaps or any(trade.id == last.id for trade in page)
            fresh = [trade for trade in page if trade.id != newest.id and trade.ts >= newest.ts]
            found += fresh
            latest = max(fresh, key=trade_key, default=None)
            if latest is None or latest.id == newest.id or (len(page) < 2 and not capabilities.contiguous_ids):
                break
            newest = latest
        else:
            return RecoveredTrades(found, overlaps, has_more=True)
        return RecoveredTrades(found or recent, overlaps)

    async def fetch_bars(
        self, symbol: str, interval: str, since: int, until: int, on_invalid: OnInvalidRow | None = None
    ) -> list[Bar]:
        """Page by page: each starts after the last bar of the previous page, or after an empty page's time range."""
        found: dict[int, Bar] = {}
        start, length, width = since, BAR_LENGTHS[interval], self._page_limit(symbol) or PAGE
        for _ in range(PAGES_MAX):
            rows = await self._client.request(partial(self._client.api.fetch_ohlcv, symbol, interval, start, PAGE))
            bars = [self._bar(symbol, interval, row, on_invalid) for row in rows]
            if rows and not any(bars):
                raise ExchangeRequestFailed(
                    f"{self._client.exchange}: none of {len(rows)} candles can be parsed: {str(rows[0])[:200]}"
                )
            fresh = {bar.ts: bar for bar in bars if bar is not None and start <= bar.ts < until}
            found |= fresh
            # Some exchanges return only what lies within a page's time range, others the next bars, however late.
            start = length.close_of(max(fresh)) if fresh else length.shifted(start, width)
            if start >= until or any(bar is not None and bar.ts >= until for bar in bars):
                break
        return [found[ts] for ts in sorted(found)]

    def bars_per_page(self, symbol: str) -> int:
        """How many bars one request returns: as ccxt knows it, else few enough for any exchange."""
        return self._page_limit(symbol) or PAGE_UNKNOWN

    async def _fetch_backwards(self, symbol: str, last: Trade) -> RecoveredTrades:
        """From now back to ``last``, where a page holds the newest trades of a time range."""
        found: dict[str, Trade] = {}
        until = time.time_ns() // 1_000_000 + CLOCK_AHEAD_MAX
        for _ in range(PAGES_MAX):
            page = await self._trades(symbol, last.ts - 1, {"until": until})
            fresh = [trade for trade in page if trade.id not in found]
            found |= {trade.id: trade for trade in fresh}
            if not fresh or last.id in found:
                break
            until = min(trade.ts for trade in fresh) + 1000  # the exchange's ranges are in whole seconds
        return RecoveredTrades(list(found.values()), last.id in found)

    async def _page_after(self, symbol: str, newest: Trade) -> list[Trade]:
        capabilities = self._client.capabilities
        if capabilities.trades_by_time:
            return await self._trades(symbol, newest.ts - 1, {})
        if capabilities.by_id_params is None or (capabilities.by_id_needs_key and not self._client.has_key):
            return []
        from_id = {capabilities.id_param: str(int(newest.id) + 1)}
        return await self._trades(symbol, None, {**capabilities.by_id_params, **from_id})

    async def _trades(self, symbol: str, since: int | None, params: Mapping[str, object]) -> list[Trade]:
        rows = await self._client.request(lambda: self._client.api.fetch_trades(symbol, since, PAGE, dict(params)))
        trades = [_or_none(partial(self._client.to_trade, symbol, row)) for row in rows]
        return [trade for trade in trades if trade is not None]

    def _page_limit(self, symbol: str) -> int | None:
        limit = self._client.api.feature_value(symbol, "fetchOHLCV", "limit")
        return min(limit, PAGE) if isinstance(limit, int) and limit > 0 else None

    def _bar(self, symbol: str, interval: str, row: Any, on_invalid: OnInvalidRow | None) -> Bar | None:
        try:
            return to_bar(self._client.exchange, symbol, interval, row, closed=True)
        except (ValueError, KeyError, TypeError) as error:
            if on_invalid is not None:
                on_invalid(str(error), str(row))
            return None


def _or_none(convert: Callable[[], T]) -> T | None:
    """None for a trade that cannot be converted: it stays missing and is reported as such."""
    try:
        return convert()
    except (ValueError, KeyError, TypeError):
        return None
