"""CryptoCompare's adapter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.market import Bar, Side, Ticker, Trade
from tapedeck_common.records import Listing
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.exchange import Endpoints
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.exchanges.adapter import (
    ExchangeMarkets,
    ExchangeStream,
    MarketDataListener,
    OnInvalidRow,
    RecoveredTrades,
    StreamKind,
)
from tapedeck_feed.exchanges.cryptocompare.messages import Message, to_bar, to_running_bar, to_ticker, to_trade
from tapedeck_feed.exchanges.cryptocompare.pairs import (
    HISTORY,
    INDEX,
    UNITS,
    Pair,
    pair_of,
    parse_pairs,
    select_pairs,
    subscription_id,
    symbol_of,
)
from tapedeck_feed.exchanges.cryptocompare.rest import REQUESTS_PER_SECOND, CryptoCompareRest
from tapedeck_feed.exchanges.cryptocompare.websocket import RECEIVE_TIMEOUT, CryptoCompareWebsocket
from tapedeck_feed.exchanges.errors import ExchangeRequestFailed

PAGE = 2000
PAGES_MAX = 200
EXCHANGE = "cryptocompare"


class CryptoCompareAdapter:
    """The exchange ``cryptocompare``. It serves past bars but no past trades; a subscription repeats the last 20."""

    exchange = EXCHANGE

    def __init__(
        self,
        keys: dict[str, str],
        endpoints: Endpoints | None,
        policy: EndpointPolicy,
        pods: int = 1,
        concurrency: int = 1,
        receive_timeout: float = RECEIVE_TIMEOUT,
    ) -> None:
        key = keys.get("apiKey", "")
        self._rest = CryptoCompareRest(endpoints.rest if endpoints else None, key, policy, pods, concurrency)
        host = endpoints.websocket if endpoints else None
        self._websocket = CryptoCompareWebsocket(host, key, policy, receive_timeout)
        self._fields: dict[str, dict[str, Any]] = {}  # merged from messages that carry only what changed
        self._previous_trades: dict[str, tuple[float, Side]] = {}

    async def load_markets(self, symbols: Sequence[str]) -> ExchangeMarkets:
        """Selects among the index's pairs, and among the exchanges' pairs where a symbol names an exchange."""
        of_index, of_exchanges = any(":" not in name for name in symbols), any(":" in name for name in symbols)
        index_response = await self._rest.get("/data/v2/cccagg/pairs") if of_index else {"pairs": {}}
        exchanges_response = await self._rest.get("/data/v4/all/exchanges") if of_exchanges else {"exchanges": {}}
        markets: dict[Pair, bool] = {}
        try:
            index = parse_pairs(INDEX, index_response["pairs"])
            for market, info in exchanges_response["exchanges"].items():
                markets |= parse_pairs(market, info.get("pairs") or {})
        except InvalidInput:  # a ValueError, too
            raise
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ExchangeRequestFailed(f"{EXCHANGE}: cannot parse its list of markets: {error!r}") from None
        selected = select_pairs(EXCHANGE, symbols, index, markets)
        index_symbols = [symbol for symbol in selected if ":" not in symbol]
        streams: set[StreamKind] = {"bars", "ticker"} if index_symbols else {"trades", "bars", "ticker"}
        index_note = "{0} is an index, which has no trades; a market's symbol is like {0}:Coinbase"
        inactive = frozenset(pair.symbol for pair, traded in (index | markets).items() if not traded)
        return ExchangeMarkets(
            selected,
            frozenset(streams),
            frozenset(HISTORY),
            contiguous_ids=False,
            page=PAGE,
            bars_per_request={interval: PAGE // units for interval, (_, units) in HISTORY.items()},
            request_seconds=1 / REQUESTS_PER_SECOND,
            streamed_intervals=frozenset(UNITS),
            note=index_note.format(index_symbols[0]) if index_symbols else "",
            inactive=inactive.intersection(selected),
        )

    async def fetch_listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """Empty: it publishes no price steps, and its symbols contain the names of their currencies."""
        return ()

    async def subscribe(self, stream: ExchangeStream, listener: MarketDataListener) -> None:
        """All of a stream's subscriptions, on the connection that all streams share."""
        for symbol in stream.symbols:  # what changed meanwhile is unknown; the first message carries every field
            self._fields.pop(_fields_key(stream, symbol), None)

        def on_message(message: Message) -> None:
            try:
                self._forward(stream, message, listener)
            except ValueError as error:
                listener.on_malformed(symbol_of(message), stream.kind, str(error), str(message))

        def on_malformed(text: str) -> None:
            listener.on_malformed("", None, "expected a message of a subscribed channel", text)

        ids = [subscription_id(stream, symbol) for symbol in stream.symbols]
        # Past trades cannot be requested, so that a dead subscription to trades cannot be distinguished from a quiet
        # market: heartbeats count as activity.
        heartbeats = stream.kind == "trades"
        await self._websocket.subscribe(
            ids, on_message, lambda: listener.on_activity(stream), on_malformed, heartbeats=heartbeats
        )

    async def disconnect(self) -> None:
        """Closes the websocket."""
        await self._websocket.disconnect()

    async def fetch_trades_after(self, symbol: str, last: Trade) -> RecoveredTrades:
        """None: it serves no past trades. The trades that a subscription repeats show whether any is missing."""
        return RecoveredTrades([], complete=False)

    async def fetch_bars(
        self, symbol: str, interval: str, since: int, until: int, on_invalid: OnInvalidRow | None = None
    ) -> list[Bar]:
        """Page by page, from the newest to the oldest: its history is requested by the end of a page."""
        found: dict[int, Bar] = {}
        length = BAR_LENGTHS[interval]
        last = length.open_of(until - 1)
        for _ in range(PAGES_MAX):
            if last < since:
                break
            rows = await self._fetch_rows(symbol, interval, since, last)
            bars = _to_bars(symbol, interval, rows, on_invalid)
            found |= {bar.ts: bar for bar in bars if since <= bar.ts < until}
            times = [row["time"] * 1000 for row in rows if isinstance(row, dict) and type(row.get("time")) is int]
            if not times or min(times) > last:
                break
            last = length.shifted(min(times), -1)
        return [found[ts] for ts in sorted(found)]

    async def fetch_ticker(self, symbol: str) -> Ticker | None:
        """The same values as the stream's."""
        pair, path = pair_of(symbol), "/data/pricemultifull"
        response = await self._rest.get(path, field="RAW", fsyms=pair.base, tsyms=pair.quote, e=pair.market)
        try:
            return to_ticker(EXCHANGE, symbol, response[pair.base][pair.quote])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExchangeRequestFailed(f"{EXCHANGE}: {path}: cannot parse a ticker: {error!r}") from None

    async def fetch_time(self) -> int | None:
        """From the websocket's last welcome or heartbeat; its REST interface has no time."""
        skew = self._websocket.skew
        return None if skew is None else time.time_ns() // 1_000_000 + skew

    async def close(self) -> None:
        """Closes every connection."""
        await self._websocket.close()
        await self._rest.close()

    async def _fetch_rows(self, symbol: str, interval: str, since: int, last: int) -> list[Any]:
        """A page of history whose newest row opens at ``last``; ``limit`` counts the rows before it."""
        pair, (path, units) = pair_of(symbol), HISTORY[interval]
        rows_before = min((last - since) // BAR_LENGTHS[interval].ms, PAGE // units - 1)
        response = await self._rest.get(
            f"/data/v2/{path}", fsym=pair.base, tsym=pair.quote, e=pair.market, aggregate=units,
            limit=max(rows_before, 1), toTs=last // 1000, tryConversion="false",
        )  # fmt: skip
        rows = response.get("Data") if isinstance(response, dict) else None
        if not isinstance(rows, list):
            raise ExchangeRequestFailed(f"{EXCHANGE}: {path}: got {str(response)[:200]}, expected rows under Data")
        return rows

    def _forward(self, stream: ExchangeStream, message: Message, listener: MarketDataListener) -> None:
        symbol = symbol_of(message)
        if stream.kind == "trades":
            trade = to_trade(EXCHANGE, symbol, message, self._previous_trades.get(symbol))
            self._previous_trades[symbol] = (trade.price, trade.side)
            listener.on_trade(trade)
            return
        key = _fields_key(stream, symbol)
        before = self._fields.get(key, {})
        if stream.kind == "bars":
            fields = {**(before if before.get("TS") == message.get("TS") else {}), **message}
            bar = to_running_bar(EXCHANGE, symbol, stream.interval, fields)
            self._fields[key] = fields
            if bar is not None:
                listener.on_bar(bar)
        else:
            fields = {**before, **message}
            ticker = to_ticker(EXCHANGE, symbol, fields) if "PRICE" in fields else None
            self._fields[key] = fields
            if ticker is not None:
                listener.on_ticker(ticker)


def _fields_key(stream: ExchangeStream, symbol: str) -> str:
    """The key of a symbol's merged fields within a stream."""
    return f"{symbol} {stream.interval}"


def _to_bars(symbol: str, interval: str, rows: list[Any], on_invalid: OnInvalidRow | None) -> list[Bar]:
    """The rows that hold a bar. Raises ExchangeRequestFailed where none can be parsed."""
    bars, invalid = [], 0
    for row in rows:
        try:
            bar = to_bar(EXCHANGE, symbol, interval, row)
        except (ValueError, AttributeError) as error:
            invalid += 1
            if on_invalid is not None:
                on_invalid(str(error), str(row))
        else:
            bars += [] if bar is None else [bar]
    if invalid and invalid == len(rows):
        raise ExchangeRequestFailed(f"{EXCHANGE}: none of {len(rows)} candles can be parsed: {str(rows[0])[:200]}")
    return bars
