"""The websocket: a client subscribes to bars and runs, the gateway pushes what changes. Times in milliseconds UTC."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import psycopg
from confluent_kafka import KafkaException
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from prometheus_client import Gauge
from psycopg_pool import PoolTimeout

from tapedeck_gateway.charts.symbols import Name, parse_name, width_of
from tapedeck_gateway.context import Deck, deck_of
from tapedeck_gateway.push.outbox import Outbox

router = APIRouter()
MESSAGE_BYTES = 4_096
PING_S = 15.0
SEND_S = 20.0
POLICY, TRY_AGAIN = 1008, 1013

_sockets = Gauge("tapedeck_gateway_sockets", "Open websockets.")


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends: bars by symbol and resolution, or a run by its id."""

    type: Literal["subscribe", "unsubscribe"]
    symbol: str = ""
    resolution: str = ""
    run: str = ""


_decode = msgspec.json.Decoder(Request).decode


@router.websocket("/ws")
async def stream(websocket: WebSocket) -> None:
    deck = deck_of(websocket)
    if not allowed(websocket.headers.get("origin"), websocket.headers.get("host", ""), deck.options.origins):
        await websocket.close(POLICY, "origin not allowed")
        return
    if deck.sockets >= deck.options.max_sockets:
        await websocket.close(TRY_AGAIN, f"expected at most {deck.options.max_sockets} sockets")
        return
    await websocket.accept()
    deck.sockets += 1
    _sockets.set(deck.sockets)
    client = _Client(deck, websocket)
    try:
        await client.serve()
    finally:
        client.leave()
        deck.sockets -= 1
        _sockets.set(deck.sockets)


def allowed(origin: str | None, host: str, also: list[str]) -> bool:
    """Whether a page of this origin may connect: our own, loopback's to loopback, or one that the options name.

    No origin at all means no browser, whose users need no protection from other pages.
    """
    if origin is None or origin in also:
        return True
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https"):
        return False
    return parts.netloc == host or (_loopback(parts.hostname) and _loopback(urlsplit(f"//{host}").hostname))


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Client:
    def __init__(self, deck: Deck, websocket: WebSocket) -> None:
        self._deck = deck
        self._websocket = websocket
        self._outbox = Outbox()
        self._series: set[tuple[Name, str]] = set()
        self._runs: set[str] = set()

    async def serve(self) -> None:
        """Until the client leaves, or is too slow."""
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | RuntimeError):
                raise result

    def leave(self) -> None:
        for name, resolution in self._series:
            self._deck.hub.unsubscribe(self._outbox, name, resolution)
        for run in self._runs:
            self._deck.hub.leave_run(self._outbox, run)

    async def _receive(self) -> None:
        while True:
            text = await self._websocket.receive_text()
            try:
                await self._follow(_decode(text))
            except (ValueError, msgspec.DecodeError) as error:
                self._outbox.message({"type": "error", "message": str(error)})
            except (KafkaException, psycopg.Error, PoolTimeout) as error:
                self._outbox.message({"type": "error", "message": f"a service is away: {error}"})

    async def _follow(self, request: Request) -> None:
        if request.run and (request.symbol or request.resolution):
            raise ValueError("run: got it beside symbol or resolution, expected one or the other")
        if request.type == "unsubscribe":
            self._unsubscribe(request)
        else:
            await self._subscribe(request)
        self._outbox.message({**msgspec.structs.asdict(request), "type": f"{request.type}d"})

    async def _subscribe(self, request: Request) -> None:
        if len(self._series) + len(self._runs) >= self._deck.options.max_subscriptions:
            raise ValueError(f"subscribe: expected at most {self._deck.options.max_subscriptions} subscriptions")
        if request.run:
            await self._deck.hub.watch_run(self._outbox, request.run)
            self._runs.add(request.run)
            return
        name = parse_name(request.symbol)
        if name.series:
            raise ValueError(f"symbol: got {request.symbol[:80]!r}, whose results are not pushed: ask /history")
        width_of(request.resolution)
        await self._deck.hub.subscribe(self._outbox, name, request.resolution)
        self._series.add((name, request.resolution))

    def _unsubscribe(self, request: Request) -> None:
        if request.run:
            self._deck.hub.leave_run(self._outbox, request.run)
            self._runs.discard(request.run)
            return
        name = parse_name(request.symbol)
        self._deck.hub.unsubscribe(self._outbox, name, request.resolution)
        self._series.discard((name, request.resolution))

    async def _send(self) -> None:
        while True:
            if not await self._outbox.wait(PING_S):
                self._outbox.latest("ping", {"type": "ping", "at": int(time.time() * 1000)})
            if self._outbox.overfull:
                await self._websocket.close(TRY_AGAIN, "too slow: more waits than is kept for one client")
                return
            for message in self._outbox.drain():
                try:
                    async with asyncio.timeout(SEND_S):
                        await self._websocket.send_text(message.decode())
                except TimeoutError:
                    await self._websocket.close(TRY_AGAIN, f"too slow: a message took over {SEND_S:.0f} s")
                    return
