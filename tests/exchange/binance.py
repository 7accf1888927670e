"""Binance's spot interface: REST v3 and the raw websocket streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from exchange.market import INTERVALS, Market, Tick
from exchange.server import Client, Exchange


@dataclass
class Binance:
    """See Binance's "Spot REST API" and "WebSocket Streams". ``halted``: bases of markets that are not traded."""

    price_step: str = "0.01"
    halted: set[str] = field(default_factory=set)

    def routes(self, exchange: Exchange) -> list[web.RouteDef]:
        async def info(_: web.Request) -> web.Response:
            return web.json_response(
                {"timezone": "UTC", "serverTime": exchange.now, "symbols": [self._info(m) for m in exchange.markets]}
            )

        async def clock(_: web.Request) -> web.Response:
            return web.json_response({"serverTime": exchange.now})

        async def recent(request: web.Request) -> web.Response:
            market, limit = _query(exchange, request)
            if market is None:
                return _wrong_symbol()
            return web.json_response([_trade_row(tick) for tick in market.past[-limit:]])

        async def historical(request: web.Request) -> web.Response:
            market, limit = _query(exchange, request)
            if request.headers.get("X-MBX-APIKEY") != exchange.key:
                answer = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
                return web.json_response(answer, status=401)
            if market is None:
                return _wrong_symbol()
            if "fromId" not in request.query:
                return web.json_response([_trade_row(tick) for tick in market.past[-limit:]])
            found = market.from_id(int(request.query["fromId"]), limit)
            return web.json_response([_trade_row(tick) for tick in found])

        async def klines(request: web.Request) -> web.Response:
            market, limit = _query(exchange, request)
            if market is None:
                return _wrong_symbol()
            interval = request.query["interval"]
            until = int(request.query.get("endTime", exchange.now))
            since = int(request.query.get("startTime", until - limit * INTERVALS[interval] * 1000))
            rows = market.candles(INTERVALS[interval], since, until, limit)
            return web.json_response(
                [[ts, *prices, ts + INTERVALS[interval] * 1000 - 1, "0", 1, "0", "0", "0"] for ts, *prices in rows]
            )

        async def ticker(request: web.Request) -> web.Response:
            market, _ = _query(exchange, request)
            if market is None:
                return _wrong_symbol()
            fields = _ticker(exchange, market)
            names = {"symbol": "s", "lastPrice": "c", "bidPrice": "b", "askPrice": "a", "highPrice": "h",
                     "lowPrice": "l", "volume": "v", "openPrice": "o", "closeTime": "E"}  # fmt: skip
            return web.json_response({name: fields[short] for name, short in names.items()})

        async def nothing(_: web.Request) -> web.Response:
            return web.json_response({"timezone": "UTC", "serverTime": exchange.now, "symbols": []})

        return [
            web.get("/api/v3/exchangeInfo", info),
            web.get("/api/v3/time", clock),
            web.get("/api/v3/trades", recent),
            web.get("/api/v3/historicalTrades", historical),
            web.get("/api/v3/klines", klines),
            web.get("/api/v3/ticker/24hr", ticker),
            web.get("/fapi/v1/exchangeInfo", nothing),
            web.get("/dapi/v1/exchangeInfo", nothing),
        ]

    def greet(self, exchange: Exchange, client: Client) -> list[Any]:
        return []

    def on_message(self, exchange: Exchange, client: Client, message: Any) -> list[Any]:
        if message["method"] == "SUBSCRIBE":
            client.channels |= dict.fromkeys(message["params"])
        elif message["method"] == "UNSUBSCRIBE":
            for name in message["params"]:
                client.channels.pop(name, None)
        return [{"result": None, "id": message["id"]}]

    def trade(self, market: Market, tick: Tick, channels: dict[str, Any]) -> list[Any]:
        return [trade_message(market, tick)] if f"{_name(market)}@trade" in channels else []

    def state(self, exchange: Exchange, market: Market, channels: dict[str, Any]) -> list[Any]:
        messages: list[Any] = []
        for channel in channels:
            name, _, kind = channel.partition("@")
            if name == _name(market) and market.happened:
                if kind.startswith("kline_"):
                    messages.append(_kline(exchange, market, kind.removeprefix("kline_")))
                elif kind == "ticker":
                    messages.append(_ticker(exchange, market))
        return messages

    def _info(self, market: Market) -> dict[str, Any]:
        return {
            "symbol": market.base + market.quote, "status": "BREAK" if market.base in self.halted else "TRADING",
            "baseAsset": market.base, "baseAssetPrecision": 8,
            "quoteAsset": market.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": True,
            "permissions": ["SPOT"], "permissionSets": [["SPOT"]], "orderTypes": ["LIMIT", "MARKET"],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": self.price_step},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            ],
        }  # fmt: skip


def trade_message(market: Market, tick: Tick) -> dict[str, Any]:
    """A message of the stream ``<symbol>@trade``."""
    return {
        "e": "trade", "E": tick.ts, "s": market.base + market.quote, "t": tick.id, "p": tick.price, "q": tick.amount,
        "T": tick.ts, "m": tick.buyer_maker, "M": True,
    }  # fmt: skip


def _name(market: Market) -> str:
    return (market.base + market.quote).lower()


def _query(exchange: Exchange, request: web.Request) -> tuple[Market | None, int]:
    limit = min(int(request.query.get("limit", 500)), exchange.page_max)
    return exchange.market(request.query.get("symbol", "")), limit


def _wrong_symbol() -> web.Response:
    return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)


def _trade_row(tick: Tick) -> dict[str, Any]:
    return {
        "id": tick.id, "price": tick.price, "qty": tick.amount, "quoteQty": "0", "time": tick.ts,
        "isBuyerMaker": tick.buyer_maker, "isBestMatch": True,
    }  # fmt: skip


def _kline(exchange: Exchange, market: Market, interval: str) -> dict[str, Any]:
    step = INTERVALS[interval] * 1000
    start = exchange.now // step * step
    rows = market.candles(INTERVALS[interval], start, start, 1)
    rows = rows or market.candles(INTERVALS[interval], 0, start, 10**9)[-1:]
    ts, o, h, low, c, v = rows[0]
    return {
        "e": "kline", "E": exchange.now, "s": market.base + market.quote,
        "k": {"t": ts, "T": ts + step - 1, "s": market.base + market.quote, "i": interval, "f": 0, "L": 0, "o": o,
              "c": c, "h": h, "l": low, "v": v, "n": 1, "x": False, "q": "0", "V": "0", "Q": "0", "B": "0"},
    }  # fmt: skip


def _ticker(exchange: Exchange, market: Market) -> dict[str, Any]:
    prices = sorted((tick.price for tick in market.past), key=float)
    last = market.past[-1]
    return {
        "e": "24hrTicker", "E": exchange.now, "s": market.base + market.quote, "p": "0", "P": "0", "w": last.price,
        "x": last.price, "c": last.price, "Q": last.amount, "b": prices[0], "B": "1", "a": prices[-1], "A": "1",
        "o": market.ticks[0].price, "h": prices[-1], "l": prices[0],
        "v": str(sum(float(tick.amount) for tick in market.past)), "q": "0", "O": market.ticks[0].ts, "C": last.ts,
        "F": market.ticks[0].id, "L": last.id, "n": market.happened,
    }  # fmt: skip
