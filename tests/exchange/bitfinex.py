"""Bitfinex's interface, version 2: public REST and websocket."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.market import INTERVALS, Market, Tick
from exchange.server import Client, Exchange


class Bitfinex:
    """See Bitfinex's "REST Public Endpoints" and "WebSocket Channels". Rows are arrays, by position."""

    def routes(self, exchange: Exchange) -> list[web.RouteDef]:
        async def configuration(request: web.Request) -> web.Response:
            pairs = [[_pair(market), [None, None, None, "0.002", "2000", *[None] * 7]] for market in exchange.markets]
            names = sorted({name for market in exchange.markets for name in (market.base, market.quote)})
            by_label: dict[str, list[Any]] = {"pub:info:pair": pairs, "pub:list:currency": list(names)}
            return web.json_response([by_label.get(label, []) for label in request.match_info["labels"].split(",")])

        async def trades(request: web.Request) -> web.Response:
            market = exchange.market(request.match_info["symbol"].removeprefix("t").replace(":", ""))
            if market is None:
                return _wrong_symbol()
            found = market.between(int(request.query.get("start", 0)), int(request.query.get("end", 10**15)))
            return web.json_response(_page([_trade(tick) for tick in found], request, exchange, 120))

        async def candles(request: web.Request) -> web.Response:
            _, interval, symbol = request.match_info["key"].split(":", 2)
            market = exchange.market(symbol.removeprefix("t").replace(":", ""))
            if market is None:
                return _wrong_symbol()
            since, until = int(request.query.get("start", 0)), int(request.query.get("end", exchange.now))
            rows = market.candles(INTERVALS[interval], since, until, 10**6)
            return web.json_response(_page([_candle(row) for row in rows], request, exchange, 100))

        return [
            web.get("/v2/conf/{labels}", configuration),
            web.get("/v2/trades/{symbol}/hist", trades),
            web.get("/v2/candles/{key}/hist", candles),
        ]

    def greet(self, exchange: Exchange, client: Client) -> list[Any]:
        return [{"event": "info", "version": 2, "serverId": "local", "platform": {"status": 1}}]

    def on_message(self, exchange: Exchange, client: Client, message: Any) -> list[Any]:
        channel = message["channel"]
        symbol = message["symbol"] if channel != "candles" else message["key"].split(":", 2)[2]
        market = exchange.market(symbol.removeprefix("t").replace(":", ""))
        if market is None:
            return [{"event": "error", "msg": "symbol: invalid", "code": 10300, "channel": channel, "symbol": symbol}]
        number = len(client.channels) + 1
        what = {"key": message["key"]} if channel == "candles" else {"symbol": symbol, "pair": symbol[1:]}
        key = message["key"] if channel == "candles" else f"{channel}:{_pair(market)}"
        client.channels[key] = number
        answers: list[Any] = [{"event": "subscribed", "channel": channel, "chanId": number, **what}]
        if channel == "trades" and market.past:
            answers.append([number, [_trade(tick) for tick in market.past[-30:][::-1]]])
        return answers

    def trade(self, market: Market, tick: Tick, channels: dict[str, Any]) -> list[Any]:
        number = channels.get(f"trades:{_pair(market)}")
        return [[number, "te", _trade(tick)], [number, "tu", _trade(tick)]] if number is not None else []

    def state(self, exchange: Exchange, market: Market, channels: dict[str, Any]) -> list[Any]:
        number = channels.get(f"ticker:{_pair(market)}")
        if number is None or not market.happened:
            return []
        prices = sorted(float(tick.price) for tick in market.past)
        last = float(market.past[-1].price)
        return [[number, [prices[0], 1.0, prices[-1], 1.0, 10.0, 0.01, last, 1234.5, prices[-1], prices[0]]]]


def _pair(market: Market) -> str:
    name = market.base + market.quote
    return name if len(name) == 6 else f"{market.base}:{market.quote}"


def _trade(tick: Tick) -> list[Any]:
    amount = float(tick.amount)
    return [tick.id, tick.ts, -amount if tick.buyer_maker else amount, float(tick.price)]


def _candle(row: tuple[Any, ...]) -> list[Any]:
    ts, (open_, high, low, close, volume) = row[0], map(float, row[1:])
    return [ts, open_, close, high, low, volume]


def _page(rows: list[Any], request: web.Request, exchange: Exchange, usual: int) -> list[Any]:
    limit = min(int(request.query.get("limit", usual)), exchange.page_max)
    return rows[:limit] if request.query.get("sort") == "1" else rows[::-1][:limit]


def _wrong_symbol() -> web.Response:
    return web.json_response(["error", 10020, "symbol: invalid"], status=500)
