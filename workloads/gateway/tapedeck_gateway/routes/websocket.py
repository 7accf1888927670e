"""The WebSocket: clients subscribe to bars and runs, the gateway pushes changes. Times are milliseconds UTC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.types import Message
from starlette.websockets import WebSocketDisconnected

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_gateway.access.guard import client_of, subprotocol_of
from tapedeck_gateway.access.request_text import refuse_nul
from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.charts.resolutions import resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.push.metrics import MESSAGES, SLOW_SOCKETS
from tapedeck_gateway.push.send_queue import SendQueue
from tapedeck_gateway.routes.open_sockets import counted_socket, refuse_socket

router = APIRouter()
PING_SECONDS = 15.0
SEND_SECONDS = 20.0
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013


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
    if await refuse_socket(socket, context):
        return
    await socket.accept(subprotocol_of(socket.scope))
    with counted_socket(socket, context):
        client = _Client(context, socket)
        try:
            await client.serve()
        finally:
            client.unsubscribe_all()


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
        self._directory = context.symbols
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
            await self._rate.wait(self._key)
            try:
                await self._handle(decode_message(frame))
            except TapedeckError as error:
                self._queue.add_message({"type": "error", "message": str(error)})

    async def _handle(self, message: ClientMessage) -> None:
        if message.type == "unsubscribe":
            await self._unsubscribe(message)
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
        resolution_length(message.resolution)
        async with self._slots.slot(self._key):
            symbol = await self._resolve(message.symbol)
        if symbol.series:
            raise InvalidInput(
                f"symbol: got {message.symbol[:80]!r}, expected bars: results of transforms are not pushed, "
                "load them from /history"
            )
        async with self._slots.slot(self._key):
            await self._subscriptions.subscribe(self._queue, symbol, message.resolution, message.future)
        self._series.add((symbol, message.resolution, message.future))

    async def _unsubscribe(self, message: ClientMessage) -> None:
        if message.run:
            self._subscriptions.unsubscribe_run(self._queue, message.run, message.future)
            self._runs.discard((message.run, message.future))
            return
        symbol = await self._resolve(message.symbol)
        self._subscriptions.unsubscribe(self._queue, symbol, message.resolution, message.future)
        self._series.discard((symbol, message.resolution, message.future))

    async def _resolve(self, text: str) -> ChartSymbol:
        """The symbol, with the replay's uid in its name if the client wrote it so. Raises as ``resolve``."""
        symbol = await asyncio.to_thread(self._directory.resolve, text)
        return symbol if str(symbol) == text else replace(symbol, replay_name="")

    async def _send(self) -> None:
        while True:
            if not await self._queue.wait(PING_SECONDS):
                self._queue.set_state("ping", {"type": "ping", "at": int(time.time() * 1000)})
            if not self._tokens.knows(self._grant):
                await self._socket.close(POLICY_VIOLATION, "the token is no longer valid")
                return
            if self._queue.overflowed:
                SLOW_SOCKETS.inc()
                await self._socket.close(TRY_AGAIN_LATER, "client too slow: too many messages are queued")
                return
            for message in self._queue.drain():
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._socket.send_text(message.decode())
                    MESSAGES.written += 1
                except TimeoutError:
                    SLOW_SOCKETS.inc()
                    await self._socket.close(
                        TRY_AGAIN_LATER, f"client too slow: a message took over {SEND_SECONDS:.0f} s"
                    )
                    return
