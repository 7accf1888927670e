"""Any exchange that ccxt.pro has, behind the adapter's interface."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import aiohttp
import ccxt

from tapedeck.market import Bar, Ticker, Trade
from tapedeck.records import Listing
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.live import Endpoints
from tapedeck_feed.live.adapter import (
    BadInput,
    Broken,
    Markets,
    Past,
    Refuse,
    Sink,
    Stream,
    StreamKind,
    Unanswerable,
    Unreachable,
)
from tapedeck_feed.live.convert import to_bar, to_ticker, to_trade
from tapedeck_feed.live.guarded import guarded
from tapedeck_feed.live.line import trade_order
from tapedeck_feed.live.listing import to_listing
from tapedeck_feed.live.names import chosen, near
from tapedeck_feed.live.tap import Tap
from tapedeck_feed.live.tasks import first_failure
from tapedeck_feed.live.traits import traits_of

T = TypeVar("T")
PAGE = 1000
PAGE_UNKNOWN = 100
PAGES_MAX = 200
AHEAD_MS = 60_000  # by which an exchange's clock may be ahead
LOOK_EVERY = 0.02  # seconds between two looks at a subscription whose trades come by themselves
_METHODS: dict[StreamKind, str] = {"trades": "watchTrades", "bars": "watchOHLCV", "ticker": "watchTicker"}


class CcxtExchange:
    """One exchange of ccxt.pro. ``sharers`` pods share what rate it allows."""

    def __init__(
        self, exchange: str, keys: dict[str, str], endpoints: Endpoints | None, sharers: int = 1, at_once: int = 1
    ) -> None:
        try:
            kind = guarded(f"ccxt.pro.{exchange}", exchange)
        except ModuleNotFoundError:
            raise _unknown_exchange(exchange) from None
        self.exchange = exchange
        self._traits = traits_of(exchange)
        options = dict(self._traits.options)
        self._api: Any = kind({"enableRateLimit": True, "newUpdates": True, "options": options, **keys})
        if sharers > 1:
            bucket = self._api.tokenBucket
            self._api.tokenBucket = bucket | {
                "refillRate": bucket["refillRate"] / sharers, "rateLimit": bucket["rateLimit"] * sharers
            }  # fmt: skip
            self._api.init_throttler()
        self._keyed = "apiKey" in keys
        self._quiet_until = self._dial_from = 0.0
        self._turn = asyncio.Semaphore(at_once)  # what waits for its turn must hear of a refusal
        if endpoints is not None:
            self._api.urls["api"] = _moved(self._api.urls["api"], endpoints, self._api.hostname)

    async def open(self, symbols: Sequence[str]) -> Markets:
        """Load the markets and find the symbols."""
        if self._traits.recent and not any(":" in symbol for symbol in symbols):
            self._api.options["fetchMarkets"] = {"types": ["spot"]}
        markets = await self._ask(lambda: self._api.load_markets(True))
        active = [name for name, market in markets.items() if market.get("active") is not False]
        if not active:  # no word on whether the symbols are right
            raise Unanswerable(f"{self.exchange}: got an empty list of markets")
        names = chosen(self.exchange, symbols, active)
        if self._keyed and self._traits.behind_needs_key:
            await self._check_key(names[0])
        return Markets(
            names,
            frozenset(kind for kind, method in _METHODS.items() if self._api.has.get(method)),
            frozenset(self._api.timeframes) & INTERVAL_MS.keys() if self._api.has.get("fetchOHLCV") else frozenset(),
            self._traits.contiguous,
            self._page(names[0]),
            listings=self._listings(names, markets),
        )

    async def listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """Asked for beside ``load_markets``: what the streams know of the markets stays as it is."""
        active: dict[str, Any] = await self._ask(self._active)
        if not active:
            raise Unanswerable(f"{self.exchange}: got an empty list of markets")
        return self._listings([name for name in symbols if name in active], active)

    async def watch(self, stream: Stream, sink: Sink) -> None:
        """One task for each subscription of ccxt; the first that breaks ends all."""
        await asyncio.sleep(max(self._dial_from - time.monotonic(), 0.0))
        self._api.on_malformed = lambda reason, payload: sink.refuse("", None, reason, payload)
        await first_failure([self._listen(stream, sink, news) for news in self._subscriptions(stream, sink)])

    async def drop(self) -> None:
        """Close every websocket: one that is silent, and those beside it, which come again too."""
        await self._api.close_ws_clients()

    async def trades_after(self, symbol: str, last: Trade) -> Past:
        """By id where the exchange can, else by time."""
        if self._traits.backwards:
            return await self._back_to(symbol, last)
        recent = [] if self._traits.by_time else await self._trades(symbol, None, self._traits.recent)
        if self._traits.contiguous and recent and int(recent[0].id) <= int(last.id) + 1:
            return Past(recent, whole=True)
        found: list[Trade] = []
        behind, whole = last, False
        for _ in range(PAGES_MAX):
            page = await self._page_behind(symbol, behind)
            whole = whole or any(trade.id == last.id for trade in page)
            fresh = [trade for trade in page if trade.id != behind.id and trade.ts >= behind.ts]
            found += fresh
            newest = max(fresh, key=trade_order, default=None)
            if newest is None or newest.id == behind.id or (len(page) < 2 and not self._traits.contiguous):
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
            rows = await self._ask(partial(self._api.fetch_ohlcv, symbol, interval, at, PAGE))
            bars = [self._bar(symbol, interval, row, refuse) for row in rows]
            if rows and not any(bars):
                raise Unanswerable(f"{self.exchange}: none of {len(rows)} candles can be read: {str(rows[0])[:200]}")
            fresh = {bar.ts: bar for bar in bars if bar is not None and at <= bar.ts < until}
            found |= fresh
            # Some answer with what lies within a page's time alone, others with what comes next, however late.
            at = max(fresh) + step if fresh else at + width * step
            if at >= until or any(bar is not None and bar.ts >= until for bar in bars):
                break
        return [found[ts] for ts in sorted(found)]

    async def ticker(self, symbol: str) -> Ticker | None:
        """As ``watch`` would tell it."""
        if not self._api.has.get("fetchTicker"):
            return None
        row = await self._ask(partial(self._api.fetch_ticker, symbol))
        try:
            return to_ticker(self.exchange, symbol, row, time.time_ns() // 1_000_000)
        except ValueError as error:
            raise Unanswerable(f"{self.exchange}: a ticker that can't be read: {error}") from None

    async def clock(self) -> int | None:
        """The server's time, where ccxt can ask for it."""
        if not self._api.has.get("fetchTime"):
            return None
        now = await self._ask(self._api.fetch_time)
        if not isinstance(now, int):
            raise Unanswerable(f"{self.exchange}: the time is {now!r}, expected milliseconds")
        return now

    async def close(self) -> None:
        """End all connections."""
        await self._api.close()

    def _subscriptions(self, stream: Stream, sink: Sink) -> list[Callable[[], Awaitable[bool]]]:
        """Calls that wait for news; True where the trades come by the taps anyway."""
        api = self._api
        if stream.kind == "trades":
            take = self._taker(sink)
            for symbol in stream.symbols:
                api.trades[symbol] = Tap(take)

            async def trades(symbols: list[str]) -> bool:
                if api.has.get("watchTradesForSymbols"):
                    await api.watch_trades_for_symbols(symbols)
                else:
                    await api.watch_trades(symbols[0])
                return self._retap(symbols, take)

            together = [list(stream.symbols)] if api.has.get("watchTradesForSymbols") else [[s] for s in stream.symbols]
            return [partial(trades, some) for some in together]
        if stream.kind == "bars":
            return [partial(self._candles, symbol, stream.interval, sink) for symbol in stream.symbols]
        return [partial(self._ticker, symbol, sink) for symbol in stream.symbols]

    async def _active(self) -> dict[str, Any]:
        return {row["symbol"]: row for row in await self._api.fetch_markets() if row.get("active") is not False}

    def _listings(self, names: Sequence[str], markets: Mapping[str, Any]) -> tuple[Listing, ...]:
        now, mode = time.time_ns() // 1_000_000, self._api.precisionMode
        return tuple(to_listing(self.exchange, name, markets[name], mode, now) for name in names)

    async def _listen(self, stream: Stream, sink: Sink, news: Callable[[], Awaitable[bool]]) -> None:
        breaks, worked = self._api.breaks, False
        while True:
            try:
                tapped = await news()
            except (ccxt.NetworkError, OSError, aiohttp.ClientError) as error:  # not all is wrapped by ccxt
                if worked:
                    raise Broken(f"{self.exchange}: {error}") from None
                wait = _wait_of(error)
                self._dial_from = time.monotonic() + (wait or 0.0)  # for what else listens here, too
                raise Unreachable(f"{self.exchange}: {error}", wait) from None
            except ccxt.BaseError as error:
                raise _meant(error, None) from None
            worked = True
            sink.heard(stream)
            if tapped:
                await asyncio.sleep(LOOK_EVERY)
            if self._api.breaks != breaks:  # ccxt would connect anew without a word
                raise Broken(f"{self.exchange}: the connection was lost")

    def _taker(self, sink: Sink) -> Callable[[dict[str, Any]], None]:
        exchange, contiguous = self.exchange, self._traits.contiguous

        def take(row: dict[str, Any]) -> None:
            symbol = row["symbol"]
            try:
                trade = to_trade(exchange, symbol, row, contiguous=contiguous)
            except (ValueError, KeyError) as error:
                sink.refuse(str(symbol), "trades", str(error), str(row.get("info")))
            else:
                sink.trade(trade)

        return take

    def _retap(self, symbols: list[str], take: Callable[[dict[str, Any]], None]) -> bool:
        """Take over what stands in caches that the exchange's class made anew."""
        for symbol in symbols:
            cache = self._api.trades.get(symbol)
            if not isinstance(cache, Tap):
                for row in list(cache or ()):
                    take(row)
                self._api.trades[symbol] = Tap(take)
        return True

    async def _candles(self, symbol: str, interval: str, sink: Sink) -> bool:
        for row in await self._api.watch_ohlcv(symbol, interval):
            try:
                sink.bar(to_bar(self.exchange, symbol, interval, row, closed=False))
            except ValueError as error:
                sink.refuse(symbol, "bars", str(error), str(row))
        return False

    async def _ticker(self, symbol: str, sink: Sink) -> bool:
        row = await self._api.watch_ticker(symbol)
        try:
            sink.ticker(to_ticker(self.exchange, symbol, row, time.time_ns() // 1_000_000))
        except ValueError as error:
            sink.refuse(symbol, "ticker", str(error), str(row.get("info")))
        return False

    def _page(self, symbol: str) -> int:
        """How many bars come at once: as ccxt knows, else few enough for any exchange."""
        return self._limit(symbol) or PAGE_UNKNOWN

    def _limit(self, symbol: str) -> int | None:
        limit = self._api.feature_value(symbol, "fetchOHLCV", "limit")
        return min(limit, PAGE) if isinstance(limit, int) and limit > 0 else None

    def _bar(self, symbol: str, interval: str, row: Any, refuse: Refuse | None) -> Bar | None:
        try:
            return to_bar(self.exchange, symbol, interval, row, closed=True)
        except (ValueError, KeyError, TypeError) as error:
            if refuse is not None:
                refuse(str(error), str(row))
            return None

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
        traits = self._traits
        if traits.by_time:
            return await self._trades(symbol, behind.ts - 1, {})
        if traits.behind is None or (traits.behind_needs_key and not self._keyed):
            return []
        return await self._trades(symbol, None, {**traits.behind, traits.id_parameter: str(int(behind.id) + 1)})

    async def _trades(self, symbol: str, since: int | None, parameters: Any) -> list[Trade]:
        rows = await self._ask(lambda: self._api.fetch_trades(symbol, since, PAGE, dict(parameters)))
        contiguous = self._traits.contiguous
        read = [_or_none(partial(to_trade, self.exchange, symbol, row, contiguous=contiguous)) for row in rows]
        return [trade for trade in read if trade is not None]

    async def _check_key(self, symbol: str) -> None:
        assert self._traits.behind is not None
        parameters = dict(self._traits.behind)
        await self._ask(lambda: self._api.fetch_trades(symbol, None, 1, parameters))

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """A REST call in its turn, and no earlier than the exchange allows."""
        async with self._turn:
            await asyncio.sleep(max(self._quiet_until - time.monotonic(), 0.0))
            return await self._call(call)

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except ccxt.BaseError as error:
            meant = _meant(error, self._retry_after())
            if isinstance(meant, Unreachable) and meant.wait is not None:
                self._quiet_until = max(self._quiet_until, time.monotonic() + meant.wait)
            raise meant from None
        except (OSError, aiohttp.ClientError) as error:
            raise Unreachable(f"{self.exchange}: {error}") from None
        except Exception as error:  # ccxt on a key or a page of nonsense
            if any(frame.name == "sign" for frame in traceback.extract_tb(error.__traceback__)):
                raise _no_key(self.exchange, error) from None
            raise Unanswerable(f"{self.exchange}: an answer that ccxt can't read: {error!r}") from None

    def _retry_after(self) -> float | None:
        return _wait_in(self._api.last_response_headers or {})


def _no_key(exchange: str, error: Exception) -> BadInput:
    """Without what the error says, which may be the key."""
    return BadInput(
        "WrongKey",
        f"apiKeySecret: no request to {exchange} can be signed with it ({type(error).__name__}); "
        "expected apiKey and secret as the exchange gave them",
    )


def _wait_in(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers of an answer ask to be left alone."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(said) if said.isdigit() else None


def _wait_of(error: Exception) -> float | None:
    """Seconds that a refused websocket asks for: ccxt keeps the refusal as it came."""
    headers = getattr(error.args[0] if error.args else None, "headers", None)
    return _wait_in(headers) if headers else None


def _or_none(convert: Callable[[], T]) -> T | None:
    """None for what can't be taken: it stays missing, and is told as such."""
    try:
        return convert()
    except (ValueError, KeyError, TypeError):
        return None


def _meant(error: ccxt.BaseError, wait: float | None) -> BadInput | Unreachable | Unanswerable:
    text = str(error)[:500]
    if isinstance(error, (ccxt.AuthenticationError, ccxt.PermissionDenied)):
        return BadInput("WrongKey", f"apiKeySecret: the exchange refuses the key: {text}")
    if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return Unreachable(f"too many requests: {text}", wait if wait is not None else 5.0)
    if isinstance(error, ccxt.NetworkError):
        return Unreachable(text)
    return Unanswerable(text)


def _unknown_exchange(exchange: str) -> BadInput:
    import ccxt.pro  # heavy, and wanted for its names alone

    return BadInput(
        "UnknownExchange",
        f"exchange: got {exchange!r}{near(exchange, [*ccxt.pro.exchanges, 'cryptocompare'])}; "
        "expected an id of ccxt.pro, or cryptocompare",
    )


def _moved(urls: Any, endpoints: Endpoints, hostname: str | None) -> Any:
    """The same addresses, their paths kept, on other hosts."""
    if isinstance(urls, dict):
        return {name: _moved(url, endpoints, hostname) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    base = endpoints.websocket if scheme.startswith("ws") else endpoints.rest
    _, slash, path = rest.partition("/")
    return urls if base is None else f"{base.rstrip('/')}{slash}{path}"
