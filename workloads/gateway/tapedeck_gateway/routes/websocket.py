"""The WebSocket: clients subscribe to bars and runs, the gateway pushes changes. Times are milliseconds UTC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from prometheus_client import Gauge
from starlette.types import Message
from starlette.websockets import WebSocketDisconnected

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_gateway.access.error_response import message_response
from tapedeck_gateway.access.guard import client_of, subprotocol_of
from tapedeck_gateway.access.request_text import refuse_nul
from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.charts.resolutions import resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol, parse_symbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.push.send_queue import SendQueue

router = APIRouter()
PING_SECONDS = 15.0
SEND_SECONDS = 20.0
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

_sockets = Gauge("tapedeck_gateway_sockets", "Open WebSockets.")


class ClientMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's message: names a series by symbol and resolution, or a run by its id.

    ``future``: also what lies beyond the positions of replays.
    """

    type: Literal["subscribe", "unsubscribe"]
    symbol: str = ""
    resolution: str = ""
    run: str = ""
    future: bool = False


_decode: Callable[[bytes | str], ClientMessage] = json_decoder(ClientMessage)


@router.websocket("/ws")
async def websocket(socket: WebSocket, context: Context) -> None:
    limits, sockets, key = context.options.limits, context.open_sockets, client_of(socket.scope)
    if sockets.total() >= limits.sockets or sockets[key] >= limits.sockets_per_client:
        at_most = f"{limits.sockets_per_client} of one client, {limits.sockets} in all"
        response = message_response(f"sockets: expected at most {at_most}; try again", 503)
        await response(socket.scope, socket.receive, socket.send)
        return
    await socket.accept(subprotocol_of(socket.scope))
    sockets[key] += 1
    _sockets.set(sockets.total())
    client = _Client(context, socket)
    try:
        await client.serve()
    finally:
        client.unsubscribe_all()
        sockets[key] -= 1
        if not sockets[key]:
            del sockets[key]
        _sockets.set(sockets.total())


def decode_message(frame: Message) -> ClientMessage:
    """The message in a frame that was received. Raises InvalidInput."""
    text = frame.get("text")
    if not isinstance(text, str):
        raise InvalidInput("message: got a binary frame, expected JSON in a text frame")
    try:
        message = _decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"message: {error}") from None
    refuse_nul(msgspec.structs.asdict(message))
    if message.run and (message.symbol or message.resolution):
        raise InvalidInput("run: got it with symbol or resolution, expected either a run or a series")
    return message


class _Client:
    """One WebSocket: a task that receives messages, and a task that sends what is queued."""

    def __init__(self, context: GatewayContext, socket: WebSocket) -> None:
        self._options = context.options
        self._subscriptions = context.subscriptions
        self._services = context.services
        self._socket = socket
        self._rate = context.rate
        self._slots = context.slots
        self._tokens = context.tokens
        self._grant: Grant = socket.state.grant
        self._key = client_of(socket.scope)
        self._queue = SendQueue()
        self._series: set[tuple[ChartSymbol, str, bool]] = set()
        self._runs: set[tuple[str, bool]] = set()

    async def serve(self) -> None:
        """Serve until the client disconnects or is too slow."""
        self._services.watch(self._queue)
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | WebSocketDisconnected):
                raise result

    def unsubscribe_all(self) -> None:
        """Remove every subscription of this client."""
        self._services.unwatch(self._queue)
        for symbol, resolution, future in self._series:
            self._subscriptions.unsubscribe(self._queue, symbol, resolution, future)
        for run, future in self._runs:
            self._subscriptions.unsubscribe_run(self._queue, run, future)

    async def _receive(self) -> None:
        while (frame := await self._socket.receive())["type"] == "websocket.receive":
            await self._wait_for_rate()
            try:
                await self._handle(decode_message(frame))
            except TapedeckError as error:
                self._queue.add_message({"type": "error", "message": str(error)})

    async def _wait_for_rate(self) -> None:
        """A client that asks too often waits: uvicorn reads no further message meanwhile."""
        while True:
            wait = self._rate.seconds_until_allowed(self._key, time.monotonic())
            if wait == 0:
                return
            await asyncio.sleep(wait)

    async def _handle(self, message: ClientMessage) -> None:
        if message.type == "unsubscribe":
            self._unsubscribe(message)
        else:
            await self._subscribe(message)
        self._queue.add_message({**msgspec.structs.asdict(message), "type": f"{message.type}d"})

    async def _subscribe(self, message: ClientMessage) -> None:
        if len(self._series) + len(self._runs) >= self._options.limits.subscriptions:
            raise InvalidInput(f"subscribe: expected at most {self._options.limits.subscriptions} subscriptions")
        if message.run:
            async with self._slots.slot(self._key):
                await self._subscriptions.subscribe_run(self._queue, message.run, message.future)
            self._runs.add((message.run, message.future))
            return
        symbol = parse_symbol(message.symbol)
        if symbol.series:
            raise InvalidInput(
                f"symbol: got {message.symbol[:80]!r}, expected bars: results of transforms are not pushed, "
                "load them from /history"
            )
        resolution_length(message.resolution)
        async with self._slots.slot(self._key):
            await self._subscriptions.subscribe(self._queue, symbol, message.resolution, message.future)
        self._series.add((symbol, message.resolution, message.future))

    def _unsubscribe(self, message: ClientMessage) -> None:
        if message.run:
            self._subscriptions.unsubscribe_run(self._queue, message.run, message.future)
            self._runs.discard((message.run, message.future))
            return
        symbol = parse_symbol(message.symbol)
        self._subscriptions.unsubscribe(self._queue, symbol, message.resolution, message.future)
        self._series.discard((symbol, message.resolution, message.future))

    async def _send(self) -> None:
        while True:
            if not await self._queue.wait(PING_SECONDS):
                self._queue.set_state("ping", {"type": "ping", "at": int(time.time() * 1000)})
            if not self._tokens.knows(self._grant):
                await self._socket.close(POLICY_VIOLATION, "the token is no longer valid")
                return
            if self._queue.overflowed:
                await self._socket.close(TRY_AGAIN_LATER, "client too slow: too many messages are queued")
                return
            for message in self._queue.drain():
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._socket.send_text(message.decode())
                except TimeoutError:
                    await self._socket.close(
                        TRY_AGAIN_LATER, f"client too slow: a message took over {SEND_SECONDS:.0f} s"
                    )
                    return
