"""Publishes the exchange's listings of a pod's symbols when they change."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from tapedeck_common.logs import log
from tapedeck_common.records import Listing
from tapedeck_feed.exchanges.adapter import ExchangeAdapter, ExchangeMarkets
from tapedeck_feed.exchanges.errors import ADAPTER_ERRORS
from tapedeck_feed.output.record_publisher import RecordPublisher

JITTER = 0.1  # of the time between two requests, so that an exchange's pods do not send them at once


class ListingMonitor:
    """Requests the listings every ``period`` seconds; reports symbols that are not traded."""

    def __init__(
        self, adapter: ExchangeAdapter, markets: ExchangeMarkets, output: RecordPublisher, period: float
    ) -> None:
        self._adapter = adapter
        self._output = output
        self._period = period
        self._published = {listing.symbol: listing for listing in markets.listings if listing.symbol in markets.symbols}
        self._inactive = markets.inactive
        self._delisted: set[str] = set()

    async def run(self) -> None:
        """Publish the listings, then each change, until cancelled. Raises DeliveryFailed or Interrupted."""
        self._output.publish_listings(self._published.values())
        self._report_not_traded(self._inactive)
        while True:
            await asyncio.sleep(self._period * random.uniform(1 - JITTER, 1 + JITTER))
            try:
                listings = await self._adapter.fetch_listings(tuple(self._published))
            except ADAPTER_ERRORS as error:
                log.warning("cannot fetch listings, will retry", reason=str(error)[:200])
            else:
                self._update({listing.symbol: listing for listing in listings})

    def _update(self, listings: dict[str, Listing]) -> None:
        changed = [
            listing
            for symbol, listing in listings.items()
            if _without_time(listing) != _without_time(self._published[symbol])
        ]
        self._output.publish_listings(changed)
        self._published |= listings
        delisted = self._published.keys() - listings.keys()
        self._report_not_traded(delisted - self._delisted)
        self._delisted = delisted

    def _report_not_traded(self, symbols: Iterable[str]) -> None:
        for symbol in sorted(symbols):
            log.warning("not traded", symbol=symbol)
            self._output.publish_error(symbol, "markets", "the exchange does not trade this symbol at present")


def _without_time(listing: Listing) -> tuple[str, str, float | None, float | None]:
    return listing.base, listing.quote, listing.price_step, listing.amount_step
