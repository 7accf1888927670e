"""Coinbase's Advanced Trade interface: public REST v3 and the market data websocket."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from exchange.market import Market, Tick
from exchange.server import Client, Exchange

PRODUCTS = "/api/v3/brokerage/market/products"
SECONDS = {"ONE_MINUTE": 60, "FIVE_MINUTE": 300, "FIFTEEN_MINUTE": 900, "THIRTY_MINUTE": 1800, "ONE_HOUR": 3600}
CANDLES_MAX = 350


class Coinbase:
    """See Coinbase's "Advanced Trade REST API" and "Advanced Trade WebSocket"."""

    def routes(self, exchange: Exchange) -> list[web.RouteDef]:
        async def products(request: web.Request) -> web.Response:
            spot = request.query.get("product_type", "SPOT") == "SPOT"
            found = [_product(market) for market in exchange.markets] if spot else []
            return web.json_response({"products": found, "num_products": len(found)})

        async def trades(request: web.Request) -> web.Response:
            market = exchange.market(request.match_info["product"])
            if market is None:
                return _unknown()
            since, until = int(request.query.get("start", 0)) * 1000, int(request.query.get("end", 10**10)) * 1000
            newest = market.between(since, until)[-min(int(request.query.get("limit", 100)), exchange.page_max) :]
            return web.json_response({"trades": [_trade(market, tick) for tick in newest[::-1]], "best_bid": "1"})

        async def candles(request: web.Request) -> web.Response:
            market = exchange.market(request.match_info["product"])
            if market is None:
                return _unknown()
            since, until = int(request.query["start"]) * 1000, int(request.query["end"]) * 1000
            rows = market.candles(SECONDS[request.query["granularity"]], since, until, CANDLES_MAX)
            names = ("open", "high", "low", "close", "volume")
            answer = [{"start": str(ts // 1000), **dict(zip(names, values, strict=True))} for ts, *values in rows[::-1]]
            return web.json_response({"candles": answer})

        async def clock(_: web.Request) -> web.Response:
            return web.json_response({"data": {"iso": _iso(exchange.now), "epoch": exchange.now // 1000}})

        async def nothing(_: web.Request) -> web.Response:
            return web.json_response({"data": []})

        async def rates(_: web.Request) -> web.Response:
            return web.json_response({"data": {"currency": "USD", "rates": {}}})

        return [
            web.get(PRODUCTS, products),
            web.get(f"{PRODUCTS}/{{product}}/ticker", trades),
            web.get(f"{PRODUCTS}/{{product}}/candles", candles),
            web.get("/v2/time", clock),
            web.get("/v2/currencies", nothing),
            web.get("/v2/currencies/crypto", nothing),
            web.get("/v2/exchange-rates", rates),
        ]

    def greet(self, exchange: Exchange, client: Client) -> list[Any]:
        return []

    def on_message(self, exchange: Exchange, client: Client, message: Any) -> list[Any]:
        channel, ids = message["channel"], message["product_ids"]
        answers = []
        for product in ids:
            market = exchange.market(product)
            if market is None:
                return [{"type": "error", "message": f"{product} is not a valid product"}]
            client.channels[f"{channel}:{product}"] = market
            if channel == "market_trades" and market.past:
                snapshot = [_trade(market, tick) for tick in market.past[-100:][::-1]]
                answers.append(_message(channel, exchange.now, {"type": "snapshot", "trades": snapshot}))
        return [*answers, _message("subscriptions", exchange.now, {"subscriptions": {channel: ids}})]

    def trade(self, market: Market, tick: Tick, channels: dict[str, Any]) -> list[Any]:
        if f"market_trades:{_id(market)}" not in channels:
            return []
        return [_message("market_trades", tick.ts, {"type": "update", "trades": [_trade(market, tick)]})]

    def state(self, exchange: Exchange, market: Market, channels: dict[str, Any]) -> list[Any]:
        if f"ticker:{_id(market)}" not in channels or not market.happened:
            return []
        last, prices = market.past[-1], sorted((tick.price for tick in market.past), key=float)
        ticker = {
            "type": "ticker", "product_id": _id(market), "price": last.price, "volume_24_h": "1234.5",
            "low_24_h": prices[0], "high_24_h": prices[-1], "best_bid": prices[0], "best_bid_quantity": "1",
            "best_ask": prices[-1], "best_ask_quantity": "1", "price_percent_chg_24_h": "0.5",
        }  # fmt: skip
        return [_message("ticker", exchange.now, {"type": "update", "tickers": [ticker]})]


def _id(market: Market) -> str:
    return f"{market.base}-{market.quote}"


def _iso(ms: int) -> str:
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{ms % 1000:03}Z", time.gmtime(ms // 1000))


def _message(channel: str, ts: int, event: dict[str, Any]) -> dict[str, Any]:
    return {"channel": channel, "client_id": "", "timestamp": _iso(ts), "sequence_num": 0, "events": [event]}


def _trade(market: Market, tick: Tick) -> dict[str, Any]:
    return {
        "trade_id": str(tick.id), "product_id": _id(market), "price": tick.price, "size": tick.amount,
        "time": _iso(tick.ts), "side": "SELL" if tick.buyer_maker else "BUY",
    }  # fmt: skip


def _product(market: Market) -> dict[str, Any]:
    return {
        "product_id": _id(market), "price": "1", "base_increment": "0.00000001", "quote_increment": "0.01",
        "price_increment": "0.01", "base_min_size": "0.00000001", "base_max_size": "3400", "quote_min_size": "1",
        "quote_max_size": "150000000", "base_name": market.base, "quote_name": market.quote, "is_disabled": False,
        "status": "online", "trading_disabled": False, "product_type": "SPOT", "alias": "", "alias_to": [],
        "base_currency_id": market.base, "quote_currency_id": market.quote,
    }  # fmt: skip


def _unknown() -> web.Response:
    answer = {"error": "NOT_FOUND", "error_details": "valid product_id is required", "message": "not found"}
    return web.json_response(answer, status=404)
