"""The server: one thread, one event loop, one of the protocols, and the commands of a test."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from exchange.market import Market, Tick, in_turn
from tapedeck_deck.embedded.deadline import Deadline

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LATE_ANSWERS = 10.0


class Dialect(Protocol):
    """The protocol of one exchange."""

    def routes(self, exchange: Exchange) -> list[web.RouteDef]:
        """Its REST interface."""

    def greet(self, exchange: Exchange, client: Client) -> list[Any]:
        """The first messages of a connection."""

    def on_message(self, exchange: Exchange, client: Client, message: Any) -> list[Any]:
        """A client's message on the websocket → the responses; updates the client's channels."""

    def trade(self, market: Market, tick: Tick, channels: dict[str, Any]) -> list[Any]:
        """The messages for a trade to a client with these channels."""

    def state(self, exchange: Exchange, market: Market, channels: dict[str, Any]) -> list[Any]:
        """The messages for the current candles and tickers."""


@dataclass(eq=False)
class Client:
    """A connected websocket and its subscriptions."""

    socket: web.WebSocketResponse
    headers: Mapping[str, str] = field(default_factory=dict)
    channels: dict[str, Any] = field(default_factory=dict)


@dataclass
class Exchange:
    """``with Exchange(dialect, markets) as it:`` serves on a free port; the methods may be called from any thread.

    Its clock is the time of the newest trade, or this machine's clock where ``live``.
    """

    dialect: Dialect
    markets: list[Market]
    clock_offset: int = 0
    live: bool = False
    page_max: int = 1000
    key: str = "the-key"
    silent: bool = False
    rest_faults: deque[tuple[int, dict[str, str], str]] = field(default_factory=deque)
    websocket_faults: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    faulty_path: str = ""
    faulty_query: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    rejected_at: list[float] = field(default_factory=list)
    requested: list[tuple[float, str]] = field(default_factory=list)
    dialled_at: list[float] = field(default_factory=list)
    connections: int = 0
    drops: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    clients: set[Client] = field(default_factory=set)

    def __enter__(self) -> Exchange:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()

    @property
    def rest(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def websocket(self) -> str:
        return f"ws://{self.host}:{self.port}/stream"

    @property
    def now(self) -> int:
        """The exchange's clock, milliseconds UTC."""
        if self.live:
            return time.time_ns() // 1_000_000 + self.clock_offset
        newest = max((m.ticks[m.happened - 1].ts for m in self.markets if m.happened), default=None)
        if newest is None:
            newest = min((m.ticks[0].ts for m in self.markets if m.ticks), default=0)
        return newest + self.clock_offset

    def market(self, name: str) -> Market | None:
        """By base and quote, with any separator."""
        requested = name.upper()
        return next((m for m in self.markets if requested in (m.base + m.quote, f"{m.base}-{m.quote}", m.symbol)), None)

    @property
    def requested_at(self) -> list[float]:
        """When each request arrived."""
        return [at for at, _ in self.requested]

    def subscribed(self, clients: int = 1, channels: int = 1, timeout: float = 60.0) -> None:
        """Wait until at least so many clients have so many subscriptions in total."""
        deadline = Deadline(timeout)
        while len(self.clients) < clients or sum(len(c.channels) for c in list(self.clients)) < channels:
            assert not deadline.passed(), f"no subscription in {timeout} s: {self.requests}"
            time.sleep(0.01)

    def play(self, count: int | None = None, *, chunk: int = 20, rate: float = inf, timeout: float = 600.0) -> None:
        """Let the next trades happen and send them, ``chunk`` at a time, ``rate`` per second."""
        self._do(self._play(count, chunk, rate), timeout)

    def play_in_time(self, timeout: float = 600.0) -> None:
        """Let each of the next trades happen when this machine's clock reaches its time."""
        self._do(self._play_in_time(), timeout)

    def play_with_drops(self, drops: int, seed: int, *, missed: int = 150, timeout: float = 900.0) -> None:
        """Let all trades happen; at random ones break every connection, and miss up to ``missed`` trades."""
        self._do(self._play_with_drops(drops, random.Random(seed), missed), timeout)

    def happen(self, market: Market, ticks: Iterable[Tick], *, send: bool = True) -> None:
        """Let these trades happen now; send them unless ``send`` is False."""
        self._do(self._happen(market, list(ticks), again=list(ticks) if send else []))

    def repeat(self, market: Market, ticks: Iterable[Tick]) -> None:
        """Send these trades again, or late, in this order."""
        self._do(self._happen(market, [], again=list(ticks)))

    def spoil(self, market: Market, tick: Tick) -> None:
        """Send a trade whose price is an object instead of a number."""
        self._do(self._happen(market, [], again=[tick], spoilt=True))

    def send(self, *messages: Any) -> None:
        """Raw messages to every client: text as it is, everything else as JSON."""
        self._do(self._broadcast(messages))

    def refresh(self) -> None:
        """Send candles and tickers to their subscribers."""
        self._do(self._refresh())

    def drop(self) -> None:
        """Break every connection."""
        self._do(self._drop())

    def _do(self, work: Coroutine[Any, Any, Any], timeout: float = 300.0) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout)

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._faulty])
        app.add_routes([*self.dialect.routes(self), web.get("/{tail:.*}", self._listen)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _end(self) -> None:
        await self._drop()
        await self._runner.cleanup()

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            self.dialled_at.append(time.monotonic())
            if self.websocket_faults:
                status, headers = self.websocket_faults.popleft()
                return web.Response(status=status, headers=headers)
            return await self._listen(request)
        self.requests[request.path] += 1
        self.requested.append((time.monotonic(), request.path))
        faulty = request.path.startswith(self.faulty_path) and self.faulty_query in request.query_string
        if self.rest_faults and faulty:
            status, headers, body = self.rest_faults.popleft()
            self.rejected_at.append(time.monotonic())
            return web.Response(status=status, headers=headers, text=body, content_type="application/json")
        return await handler(request)

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        if not socket.can_prepare(request).ok:
            return web.json_response({"code": 404, "msg": f"no such page: {request.path}"}, status=404)
        await socket.prepare(request)
        client = Client(socket, request.headers)
        self.clients.add(client)
        self.connections += 1
        try:
            for greeting in self.dialect.greet(self, client):
                await _send(client, greeting)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    for answer in self.dialect.on_message(self, client, json.loads(message.data)):
                        await socket.send_str(json.dumps(answer))
        finally:
            self.clients.discard(client)
        return socket

    async def _play(self, count: int | None, chunk: int, rate: float) -> None:
        began = time.monotonic()
        for number, (market, tick) in enumerate(islice(in_turn(self.markets), count), 1):
            market.happened += 1
            await self._send_trade(market, tick)
            if number % chunk == 0:
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))

    async def _play_in_time(self) -> None:
        for market, tick in in_turn(self.markets):
            await asyncio.sleep(max(0.0, tick.ts / 1000 - time.time()))
            market.happened += 1
            await self._send_trade(market, tick)

    async def _play_with_drops(self, drops: int, rng: random.Random, missed: int) -> None:
        rest = list(in_turn(self.markets))
        places = set(rng.sample(range(200, len(rest) - 200), drops))
        missing = 0  # trades that still happen before the next client is waited for
        for number, (market, tick) in enumerate(rest):
            market.happened += 1
            await self._send_trade(market, tick)
            if number in places:
                await self._wait_for_client()
                await self._drop()
                missing = rng.randrange(1, missed)
            elif missing:
                missing -= 1
                if missing == 0:
                    await self._wait_for_client()
            elif number % 50 == 0:
                await asyncio.sleep(0.002)

    async def _wait_for_client(self) -> None:
        deadline = Deadline(30)
        while not any(client.channels for client in self.clients):
            assert not deadline.passed(), "no client came back in 30 s"
            await asyncio.sleep(0.01)

    async def _happen(self, market: Market, new: list[Tick], again: list[Tick], *, spoilt: bool = False) -> None:
        market.ticks[market.happened : market.happened] = new
        market.happened += len(new)
        for tick in again:
            await self._send_trade(market, tick, spoilt=spoilt)

    async def _send_trade(self, market: Market, tick: Tick, *, spoilt: bool = False) -> None:
        if self.silent:
            return
        for client in list(self.clients):
            for message in self.dialect.trade(market, tick, client.channels):
                await _send(client, _spoilt(message, tick.price) if spoilt else message)

    async def _refresh(self) -> None:
        for client in list(self.clients):
            for market in self.markets:
                for message in self.dialect.state(self, market, client.channels):
                    await _send(client, message)

    async def _broadcast(self, messages: Iterable[Any]) -> None:
        for client in list(self.clients):
            for message in messages:
                await _send(client, message)

    async def _drop(self) -> None:
        self.drops += bool(self.clients)
        for client in list(self.clients):
            self.clients.discard(client)
            transport = client.socket._req.transport if client.socket._req is not None else None
            if transport is not None:
                transport.abort()


async def _send(client: Client, message: Any) -> None:
    try:
        await client.socket.send_str(message if isinstance(message, str) else json.dumps(message))
    except (ConnectionError, RuntimeError):
        return  # the client has disconnected


def _spoilt(message: Any, price: str) -> Any:
    """The message with an object instead of the price."""
    if isinstance(message, dict):
        return {name: _spoilt(value, price) for name, value in message.items()}
    if isinstance(message, list):
        return [_spoilt(value, price) for value in message]
    is_price = message == price or (isinstance(message, float) and message == float(price))
    return {"amount": price} if is_price else message
