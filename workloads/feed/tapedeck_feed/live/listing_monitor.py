"""What the exchange says of its symbols, asked for anew while a Feed runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from tapedeck_common.logs import log
from tapedeck_common.records import Listing
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Markets, Unanswerable, Unreachable
from tapedeck_feed.output.record_publisher import Outlet

JITTER = 0.1  # of the time between two looks, so that the pods of an exchange don't ask at once


class Catalogue:
    """The listings of a pod's symbols, told when they change; and which of those asked for are not traded.

    ``every`` is how many seconds lie between two looks.
    """

    def __init__(self, adapter: Adapter, markets: Markets, outlet: Outlet, every: float) -> None:
        self._adapter = adapter
        self._outlet = outlet
        self._every = every
        self._known = {one.symbol: one for one in markets.listings if one.symbol in markets.symbols}
        self._idle = markets.idle
        self._gone: set[str] = set()

    async def keep(self) -> None:
        """Tell what is known, and then what changes, until cancelled. Raises Undelivered or Interrupted."""
        self._outlet.listed(self._known.values())
        self._not_traded(self._idle)
        while True:
            await asyncio.sleep(self._every * random.uniform(1 - JITTER, 1 + JITTER))
            try:
                listings = await self._adapter.listings(tuple(self._known))
            except (Unreachable, Unanswerable, BadInput) as error:
                log.warning("cannot look at the markets anew, will be tried again", reason=str(error)[:200])
            else:
                self._renew({one.symbol: one for one in listings})

    def _renew(self, listings: dict[str, Listing]) -> None:
        changed = [one for name, one in listings.items() if _said(one) != _said(self._known[name])]
        self._outlet.listed(changed)
        self._known |= listings
        gone = self._known.keys() - listings.keys()
        self._not_traded(gone - self._gone)
        self._gone = gone

    def _not_traded(self, symbols: Iterable[str]) -> None:
        for symbol in sorted(symbols):
            log.warning("not traded", symbol=symbol)
            self._outlet.error(symbol, "markets", "the exchange does not trade it any more, or not at present", "")


def _said(one: Listing) -> tuple[str, str, float | None, float | None]:
    """A listing without the time."""
    return one.base, one.quote, one.price_step, one.amount_step
