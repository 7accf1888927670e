"""CryptoCompare, behind the adapter's interface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tapedeck_common.market import Bar, Side, Ticker, Trade
from tapedeck_common.records import Listing
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.live import Endpoints
from tapedeck_feed.exchanges.adapter import Markets, Past, Refuse, Sink, Stream, StreamKind, Unanswerable
from tapedeck_feed.exchanges.cryptocompare.messages import Message, to_bar, to_candle, to_ticker, to_trade
from tapedeck_feed.exchanges.cryptocompare.pairs import (
    HISTORY,
    INDEX,
    UNITS,
    Pair,
    found,
    listed,
    pair_of,
    sub_of,
    symbol_of,
)
from tapedeck_feed.exchanges.cryptocompare.rest import Rest
from tapedeck_feed.exchanges.cryptocompare.websocket import PATIENCE, Streamer

PAGE = 2000
PAGES_MAX = 200
EXCHANGE = "cryptocompare"


class CryptoCompare:
    """The exchange ``cryptocompare``. It keeps bars but no trades; on a subscription it repeats the last 20."""

    exchange = EXCHANGE

    def __init__(
        self,
        keys: dict[str, str],
        endpoints: Endpoints | None,
        sharers: int = 1,
        at_once: int = 1,
        patience: float = PATIENCE,
    ) -> None:
        key = keys.get("apiKey", "")
        self._rest = Rest(endpoints.rest if endpoints else None, key, sharers, at_once)
        self._streamer = Streamer(endpoints.websocket if endpoints else None, key, patience)
        self._states: dict[str, dict[str, Any]] = {}
        self._before: dict[str, tuple[float, Side]] = {}

    async def open(self, symbols: Sequence[str]) -> Markets:
        """Find the symbols among the index's pairs, and among the exchanges' where one names an exchange."""
        index: dict[Pair, bool] = {}
        markets: dict[Pair, bool] = {}
        try:
            if any(":" not in name for name in symbols):
                index = listed(INDEX, (await self._rest.get("/data/v2/cccagg/pairs"))["pairs"])
            if any(":" in name for name in symbols):
                known = (await self._rest.get("/data/v4/all/exchanges"))["exchanges"]
                for market, one in known.items():
                    markets |= listed(market, one.get("pairs") or {})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise Unanswerable(f"{EXCHANGE}: its list of markets can't be read: {error!r}") from None
        names = found(EXCHANGE, symbols, index, markets)
        of_index = [name for name in names if ":" not in name]
        streams: set[StreamKind] = {"bars", "ticker"} if of_index else {"trades", "bars", "ticker"}
        index_note = "{0} is an index, which has none; a market's name is like {0}:Coinbase"
        return Markets(
            names, frozenset(streams), frozenset(HISTORY), contiguous=False, page=PAGE, sent_intervals=frozenset(UNITS),
            note=index_note.format(of_index[0]) if of_index else "",
            idle=frozenset(pair.symbol for pair, traded in (index | markets).items() if not traded).intersection(names),
        )  # fmt: skip

    async def listings(self, symbols: Sequence[str]) -> tuple[Listing, ...]:
        """None: it tells no precision, and the names of its symbols are those of their currencies."""
        return ()

    async def watch(self, stream: Stream, sink: Sink) -> None:
        """All of a stream's subscriptions, on the connection that all streams share."""
        for symbol in stream.symbols:  # what changed meanwhile is not known: the first message of each tells all
            self._states.pop(_place(stream, symbol), None)

        def take(message: Message) -> None:
            try:
                self._hand_on(stream, message, sink)
            except ValueError as error:
                sink.refuse(symbol_of(message), stream.kind, str(error), str(message))

        def malformed(text: str) -> None:
            sink.refuse("", None, "expected a message of a channel that was asked for", text)

        subs = [sub_of(stream, symbol) for symbol in stream.symbols]
        # It keeps no trades to ask for: whether a subscription to them is dead or its market quiet can't be told.
        beats = stream.kind == "trades"
        await self._streamer.listen(subs, take, lambda: sink.heard(stream), malformed, beats=beats)

    async def drop(self) -> None:
        """Close the websocket."""
        await self._streamer.drop()

    async def trades_after(self, symbol: str, last: Trade) -> Past:
        """None: it keeps no trades. Those that it repeats tell whether any is missing."""
        return Past([], whole=False)

    async def bars_from(
        self, symbol: str, interval: str, since: int, until: int, refuse: Refuse | None = None
    ) -> list[Bar]:
        """Page by page, from the newest to the oldest, as its history goes."""
        kept: dict[int, Bar] = {}
        step = INTERVAL_MS[interval]
        last = (until - 1) // step * step
        for _ in range(PAGES_MAX):
            if last < since:
                break
            rows = await self._rows(symbol, interval, since, last)
            bars = _bars(symbol, interval, rows, refuse)
            kept |= {bar.ts: bar for bar in bars if since <= bar.ts < until}
            times = [row["time"] * 1000 for row in rows if isinstance(row, dict) and type(row.get("time")) is int]
            if not times or min(times) > last:
                break
            last = min(times) - step
        return [kept[ts] for ts in sorted(kept)]

    async def ticker(self, symbol: str) -> Ticker | None:
        """As ``watch`` would tell it."""
        pair, path = pair_of(symbol), "/data/pricemultifull"
        told = await self._rest.get(path, under="RAW", fsyms=pair.base, tsyms=pair.quote, e=pair.market)
        try:
            return to_ticker(EXCHANGE, symbol, told[pair.base][pair.quote])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unanswerable(f"{EXCHANGE}: {path}: a ticker that can't be read: {error!r}") from None

    async def clock(self) -> int | None:
        """By its last welcome or heartbeat; its REST interface tells no time."""
        skew = self._streamer.skew
        return None if skew is None else time.time_ns() // 1_000_000 + skew

    async def close(self) -> None:
        """End all connections."""
        await self._streamer.close()
        await self._rest.close()

    async def _rows(self, symbol: str, interval: str, since: int, last: int) -> list[Any]:
        """History up to and with the open ``last``, which comes beside so many others as are asked for."""
        pair, (path, units) = pair_of(symbol), HISTORY[interval]
        others = min((last - since) // INTERVAL_MS[interval], PAGE // units - 1)
        answer = await self._rest.get(
            f"/data/v2/{path}", fsym=pair.base, tsym=pair.quote, e=pair.market, aggregate=units, limit=max(others, 1),
            toTs=last // 1000, tryConversion="false",
        )  # fmt: skip
        rows = answer.get("Data") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise Unanswerable(f"{EXCHANGE}: {path}: got {str(answer)[:200]}, expected rows under Data")
        return rows

    def _hand_on(self, stream: Stream, message: Message, sink: Sink) -> None:
        symbol = symbol_of(message)
        key = _place(stream, symbol)
        if stream.kind == "trades":
            trade = to_trade(EXCHANGE, symbol, message, self._before.get(symbol))
            self._before[symbol] = (trade.price, trade.side)
            sink.trade(trade)
        elif stream.kind == "bars":
            known = self._states.get(key, {})
            state = {**(known if known.get("TS") == message.get("TS") else {}), **message}
            bar = to_candle(EXCHANGE, symbol, stream.interval, state)
            self._states[key] = state
            if bar is not None:
                sink.bar(bar)
        else:
            state = {**self._states.get(key, {}), **message}
            ticker = to_ticker(EXCHANGE, symbol, state) if "PRICE" in state else None
            self._states[key] = state
            if ticker is not None:
                sink.ticker(ticker)


def _place(stream: Stream, symbol: str) -> str:
    """Under which what a stream told of a symbol is remembered."""
    return f"{symbol} {stream.interval}"


def _bars(symbol: str, interval: str, rows: list[Any], refuse: Refuse | None) -> list[Bar]:
    """The rows that hold a bar. Raises Unanswerable where none can be read."""
    found, refused = [], 0
    for row in rows:
        try:
            bar = to_bar(EXCHANGE, symbol, interval, row)
        except (ValueError, AttributeError) as error:
            refused += 1
            if refuse is not None:
                refuse(str(error), str(row))
        else:
            found += [] if bar is None else [bar]
    if refused and refused == len(rows):
        raise Unanswerable(f"{EXCHANGE}: none of {len(rows)} candles can be read: {str(rows[0])[:200]}")
    return found
