"""Whether a subscription that says nothing is dead: asking the exchange for what it should have told."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tapedeck_common.market import Ticker
from tapedeck_feed.exchanges.adapter import Adapter, BadInput, Unanswerable, Unreachable
from tapedeck_feed.live.gap_recovery import Mender
from tapedeck_feed.live.subscription import Listening
from tapedeck_feed.live.symbol_state import SymbolState

SILENCE_MAX = 300.0  # seconds between two looks at a market where nothing happens
ASKED = 3  # symbols of a subscription, chosen at random


class Silence:
    """Cuts subscriptions that are dead. ``mend`` asks for what one symbol missed, once at a time."""

    def __init__(
        self,
        adapter: Adapter,
        states: Mapping[str, SymbolState],
        mender: Mender,
        mend: Callable[[SymbolState], Awaitable[None]],
    ) -> None:
        self._adapter = adapter
        self._states = states
        self._mender = mender
        self._mend = mend
        self._tickers: dict[str, Ticker] = {}  # the newest of each symbol, heard or asked for

    def told(self, ticker: Ticker) -> None:
        """A subscription told this."""
        self._tickers[ticker.symbol] = ticker

    async def look(self, one: Listening) -> None:
        """Where the exchange has what a silent subscription did not tell, the connection is dead.

        Where nothing came of it yet there is nothing to ask behind: it is made anew, ever less often.
        """
        stream, one.heard = one.stream, time.monotonic()
        before = one.heard
        some = random.sample(stream.symbols, min(ASKED, len(stream.symbols)))
        try:
            news = await (self._ticker_moved(some) if stream.kind == "ticker" else self._mended(some))
        except (Unreachable, Unanswerable, BadInput):
            return
        if one.heard != before:  # it spoke meanwhile, or began anew
            return
        begun = stream.kind == "ticker" or all(self._states[symbol].begun for symbol in stream.symbols)
        waited = one.patience
        if not news:
            one.patience = min(one.patience * 2, SILENCE_MAX)
        if news or not begun:
            one.cut(f"nothing came for {waited:g} s{', though there was something' if news else ''}")
            await self._adapter.drop()

    async def _mended(self, symbols: Sequence[str]) -> bool:
        """Whether asking brought trades or bars that the connection did not tell."""
        news = self._mender.news
        for symbol in symbols:
            self._states[symbol].suspect = True
            await self._mend(self._states[symbol])
        return self._mender.news != news

    async def _ticker_moved(self, symbols: Sequence[str]) -> bool:
        """Whether a price is another than was known. Other figures of a day change by themselves."""
        moved = False
        for symbol in symbols:
            asked = await self._adapter.ticker(symbol)
            known = self._tickers.get(symbol)
            if asked is not None and (known is None or asked.ts > known.ts):
                moved |= known is not None and asked.price != known.price
                self._tickers[symbol] = asked
        return moved
