"""The WebSocket /api/ohlcvs with the messages of the designs that Tapedeck grew from. New clients use /api/v1/ws."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, WebSocket
from msgspec import Meta

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_gateway.access.counted import counted_as
from tapedeck_gateway.access.guard import subprotocol_of
from tapedeck_gateway.access.request_text import refuse_nul
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.protocol.messages import (
    POLICY_VIOLATION,
    UNSUPPORTED_DATA,
    BarItem,
    BarsMessage,
    ReviseMessage,
)
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_DEFAULT, SubscribeBars
from tapedeck_gateway.push.session import FRAME_WRITER, FrameWriter
from tapedeck_gateway.push.shared_message import SharedMessage
from tapedeck_gateway.routes.open_sockets import counted_socket, refuse_socket
from tapedeck_gateway.routes.seed import seed_bar

router = APIRouter(prefix="/api")
CHECK_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode


class SeedMessage(msgspec.Struct, frozen=True):
    """A client's message. ``mls``: times in milliseconds instead of seconds."""

    event_type: Literal["subscribe", "unsubscribe"]
    data_type: Literal["ohlcv", "ohlcvs"]
    exchange: Annotated[str, Meta(max_length=64)]
    base_id: Annotated[str, Meta(max_length=64)]
    quote_id: Annotated[str, Meta(max_length=64)]
    interval: Annotated[str, Meta(max_length=20)]
    mls: bool = True

    @property
    def series(self) -> tuple[str, str]:
        """The symbol and the interval."""
        return f"{self.exchange}:{self.base_id}/{self.quote_id}", self.interval


_decode: Callable[[bytes | str], SeedMessage] = json_decoder(SeedMessage)


@router.websocket("/ohlcvs")
async def websocket_ohlcvs(socket: WebSocket, context: Context) -> None:
    """One socket: bars of the series that it subscribes to, one bar to a message."""
    if await refuse_socket(socket, context):
        return
    await socket.accept(subprotocol_of(socket.scope))
    with counted_socket(socket, context):
        await _SeedConnection(context, socket).serve()


class _SeedSeries:
    """A subscription. While its client does not read, nothing is queued: the newest bars follow once it does."""

    def __init__(self, writer: FrameWriter, message: SeedMessage, channel: Channel) -> None:
        self._writer = writer
        self._message = message
        self._stale = False
        self.channel = channel

    def send(self, message: SharedMessage) -> None:
        """Send the bars of a message of the channel."""
        if isinstance(message.message, BarsMessage | ReviseMessage):
            self._stale = not self._send_bars(message.message.bars)

    def send_snapshot(self) -> None:
        """Send the newest bars."""
        for each in self.channel.state(SNAPSHOT_DEFAULT):
            self.send(SharedMessage(each))

    def catch_up(self) -> None:
        """Send what the client did not read."""
        if self._stale:
            self.send_snapshot()

    def _send_bars(self, bars: list[BarItem]) -> bool:
        if not self._writer.is_writable:
            return False
        message = self._message
        self._writer.write_text(
            _encode(
                {
                    "exchange": message.exchange,
                    "base_id": message.base_id,
                    "quote_id": message.quote_id,
                    "interval": message.interval,
                    "bars": [seed_bar(bar, message.mls) for bar in bars],
                }
            )
        )
        return True


class _SeedConnection:
    """A socket and its subscriptions."""

    def __init__(self, context: GatewayContext, socket: WebSocket) -> None:
        self._context = context
        self._socket = socket
        self._client = counted_as(socket.scope)
        self._writer: FrameWriter = socket.scope["extensions"][FRAME_WRITER]
        self._series: dict[tuple[str, str], _SeedSeries] = {}

    async def serve(self) -> None:
        """Serve until the socket is closed."""
        checking = asyncio.create_task(self._check())
        self._writer.on_writable = self._catch_up
        try:
            while (frame := await self._socket.receive())["type"] == "websocket.receive":
                await self._context.rate.wait(self._client)
                text = frame.get("text")
                if isinstance(text, str):
                    await self._answer(text)
                else:
                    self._writer.close_with(UNSUPPORTED_DATA, "got a binary frame, expected JSON in a text frame")
        finally:
            checking.cancel()
            self._writer.on_writable = None
            for key in list(self._series):
                self._unsubscribe(key)

    def _catch_up(self) -> None:
        for series in self._series.values():
            series.catch_up()

    async def _answer(self, text: str) -> None:
        try:
            message = _decoded(text)
            if message.event_type == "subscribe":
                await self._subscribe(message)
            else:
                self._unsubscribe(message.series)
                self._detail(f"unsubscribed from {' '.join(message.series)}")
        except TapedeckError as error:
            self._detail(str(error))

    async def _subscribe(self, message: SeedMessage) -> None:
        limit = self._context.options.limits.subscriptions
        if message.series in self._series:
            raise InvalidInput(f"subscribe: got {' '.join(message.series)} again, expected it once")
        if len(self._series) >= limit:
            raise InvalidInput(f"subscribe: expected at most {limit} subscriptions")
        symbol, interval = message.series
        request = SubscribeBars(type="subscribe", id="seed", symbol=symbol, interval=interval)
        async with self._context.slots.slot(self._client):
            channel = await self._context.channels.open(request)
        series = self._series[message.series] = _SeedSeries(self._writer, message, channel)
        channel.subscribers.add(series)
        series.send_snapshot()

    def _unsubscribe(self, key: tuple[str, str]) -> None:
        series = self._series.pop(key, None)
        if series is None:
            raise InvalidInput(f"unsubscribe: got {' '.join(key)}, expected what was subscribed to")
        series.channel.subscribers.discard(series)
        self._context.channels.release(series.channel)

    def _detail(self, text: str) -> None:
        if self._writer.is_writable:
            self._writer.write_text(_encode({"detail": text}))

    async def _check(self) -> None:
        """Close the socket of a token that is no longer valid; one that reads nothing ends by ``write_seconds``."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._context.tokens.knows(self._socket.state.grant):
                self._writer.close_with(POLICY_VIOLATION, "the token is no longer valid")


def _decoded(text: str) -> SeedMessage:
    try:
        message: SeedMessage = _decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"message: {error}") from None
    refuse_nul(msgspec.structs.asdict(message))
    return message
