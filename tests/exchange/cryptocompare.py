"""CryptoCompare's interface: REST min-api and the streamer, version 2. All markets belong to one exchange."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from exchange.market import Market, Tick
from exchange.server import Client, Exchange

VENUE = "Coinbase"
PATHS = {"histominute": 60, "histohour": 3600, "histoday": 86400}
UNITS = {"m": 60, "H": 3600, "D": 86400}
REPLAYED = 20


class CryptoCompare:
    """See CryptoCompare's documentation of "Historical Data" and "Websockets"."""

    def routes(self, exchange: Exchange) -> list[web.RouteDef]:
        def listing() -> dict[str, Any]:
            pairs: dict[str, Any] = {}
            for market in exchange.markets:
                pairs.setdefault(market.base, {"tsyms": {}})["tsyms"][market.quote] = {}
            return pairs

        async def index(request: web.Request) -> web.Response:
            return _rejected(exchange, request) or _success({"pairs": listing()})

        async def exchanges(request: web.Request) -> web.Response:
            by_name = {VENUE: {"isActive": True, "isTopTier": True, "pairs": listing()}}
            return _rejected(exchange, request) or _success({"exchanges": by_name})

        async def history(request: web.Request) -> web.Response:
            if (rejection := _rejected(exchange, request)) is not None:
                return rejection
            query = request.query
            market = exchange.market(f"{query['fsym']}/{query['tsym']}")
            if market is None or query.get("e", "CCCAGG") not in ("CCCAGG", VENUE):
                return _error("e param is not valid the market does not exist for this coin pair", 2)
            units = int(query.get("aggregate", 1))
            step = PATHS[request.path.rpartition("/")[2]] * units
            limit = min(int(query.get("limit", 30)), 2000 // units, 2000)
            last = min(int(query.get("toTs", exchange.now // 1000)), exchange.now // 1000) // step * step
            rows = _rows(market, step, last - limit * step, last)[-exchange.page_max :]
            return _success({"Aggregated": units > 1, "TimeFrom": last - limit * step, "TimeTo": last, "Data": rows})

        async def prices(request: web.Request) -> web.Response:
            if (rejection := _rejected(exchange, request)) is not None:
                return rejection
            base, quote = request.query["fsyms"], request.query["tsyms"]
            market = exchange.market(f"{base}/{quote}")
            if market is None or request.query.get("e", "CCCAGG") not in ("CCCAGG", VENUE):
                return _error("e param is not valid the market does not exist for this coin pair", 2)
            return web.json_response({"RAW": {base: {quote: _ticker(market)}}, "DISPLAY": {}})

        return [
            web.get("/data/pricemultifull", prices),
            web.get("/data/v2/cccagg/pairs", index),
            web.get("/data/v4/all/exchanges", exchanges),
            *(web.get(f"/data/v2/{path}", history) for path in PATHS),
        ]

    def greet(self, exchange: Exchange, client: Client) -> list[Any]:
        if client.headers.get("Authorization") != f"Apikey {exchange.key}":
            info = "We only support JSON format with a valid api_key."
            return [{"TYPE": "401", "MESSAGE": "UNAUTHORIZED", "PARAMETER": "format", "INFO": info}]
        return [{"TYPE": "20", "MESSAGE": "STREAMERWELCOME", "SERVER_TIME_MS": exchange.now, "DATA_FORMAT": "JSON"}]

    def on_message(self, exchange: Exchange, client: Client, message: Any) -> list[Any]:
        answers: list[Any] = []
        for sub in message["subs"]:
            kind, venue, base, quote, *_ = sub.split("~")
            market = exchange.market(f"{base}/{quote}")
            if market is None or venue not in ("CCCAGG", VENUE) or (kind == "0" and venue == "CCCAGG"):
                info = "We have not integrated any of the exchanges this pair trades on or the pair does not exist."
                answers.append({"TYPE": "500", "MESSAGE": "INVALID_SUB", "PARAMETER": sub, "INFO": info})
            elif sub in client.channels:
                answers.append({"TYPE": "500", "MESSAGE": "SUBSCRIPTION_ALREADY_ACTIVE", "PARAMETER": sub})
            else:
                client.channels[sub] = {}
                answers += [_trade(market, tick) for tick in market.past[-REPLAYED:]] if kind == "0" else []
                answers.append({"TYPE": "16", "MESSAGE": "SUBSCRIBECOMPLETE", "SUB": sub})
        return [*answers, {"TYPE": "3", "MESSAGE": "LOADCOMPLETE", "INFO": "All your valid subs have been loaded."}]

    def trade(self, market: Market, tick: Tick, channels: dict[str, Any]) -> list[Any]:
        return [_trade(market, tick)] if f"0~{VENUE}~{market.base}~{market.quote}" in channels else []

    def state(self, exchange: Exchange, market: Market, channels: dict[str, Any]) -> list[Any]:
        """Only the fields that changed since the last message of a channel, as CryptoCompare sends them."""
        messages: list[Any] = [{"TYPE": "999", "MESSAGE": "HEARTBEAT", "TIMEMS": exchange.now}]
        for sub, sent in channels.items():
            kind, venue, base, quote, *unit = sub.split("~")
            if kind == "0" or not market.happened or (base, quote) != (market.base, market.quote):
                continue
            who = {"TYPE": kind, "MARKET": venue, "FROMSYMBOL": base, "TOSYMBOL": quote}
            if unit:
                step = UNITS[unit[0]]
                last = exchange.now // 1000 // step * step
                row = _rows(market, step, last, last)[0]
                messages.append({**who, "TS": last, "UNIT": unit[0], "ACTION": "U", **_values(row)})
                continue
            now = _ticker(market)
            messages.append({**who, "FLAGS": 4, **{name: v for name, v in now.items() if sent.get(name) != v}})
            channels[sub] = now
        return messages


def _trade(market: Market, tick: Tick) -> dict[str, Any]:
    return {
        "TYPE": "0", "M": VENUE, "FSYM": market.base, "TSYM": market.quote, "F": "1" if tick.buyer_maker else "2",
        "ID": str(tick.id), "TS": tick.ts // 1000, "TSNS": tick.ts % 1000 * 1_000_000, "Q": float(tick.amount),
        "P": float(tick.price), "TOTAL": float(tick.amount) * float(tick.price), "RTS": int(time.time()),
    }  # fmt: skip


def _ticker(market: Market) -> dict[str, Any]:
    prices, last = sorted(float(tick.price) for tick in market.past), market.past[-1]
    return {
        "PRICE": float(last.price), "BID": prices[0], "ASK": prices[-1], "LASTUPDATE": last.ts // 1000,
        "VOLUME24HOUR": 1234.5, "HIGH24HOUR": prices[-1], "LOW24HOUR": prices[0], "LASTTRADEID": str(last.id),
    }  # fmt: skip


def _rows(market: Market, step: int, first: int, last: int) -> list[dict[str, Any]]:
    """A row for each interval from first to last: flat without a trade, zeros before the first trade."""
    traded = {ts // 1000: tuple(map(float, values)) for ts, *values in market.candles(step, 0, last * 1000, 10**9)}
    rows, close = [], 0.0
    for ts in range(min(traded, default=first), last + 1, step):
        values = traded.get(ts, (close, close, close, close, 0.0))
        close = values[3]
        if ts >= first:
            rows.append((ts, values))
    rows = [(ts, (0.0,) * 5) for ts in range(first, rows[0][0] if rows else last + 1, step)] + rows
    names = ("open", "high", "low", "close", "volumefrom")
    return [{"time": ts, **dict(zip(names, values, strict=True)), "volumeto": 0.0} for ts, values in rows]


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {name.upper(): row[name] for name in ("open", "high", "low", "close", "volumefrom", "volumeto")}


def _success(data: dict[str, Any]) -> web.Response:
    answer = {"Response": "Success", "Message": "", "HasWarning": False, "Type": 100, "RateLimit": {}, "Data": data}
    return web.json_response(answer)


def _error(message: str, error_type: int) -> web.Response:
    answer = {
        "Response": "Error",
        "Message": message,
        "HasWarning": False,
        "Type": error_type,
        "RateLimit": {},
        "Data": {},
    }
    return web.json_response(answer)


def _rejected(exchange: Exchange, request: web.Request) -> web.Response | None:
    if request.headers.get("Authorization") == f"Apikey {exchange.key}":
        return None
    error = {"type": 2, "message": "API key required, please refer to the documentation", "http_status_code": 401}
    return web.json_response({"Data": {}, "Err": error}, status=401)
