"""The WebSocket /api/v1/ws: channels of bars, trades, tickers, points, runs and replays. Times are milliseconds UTC."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, WebSocket

from tapedeck_common.version import VERSION
from tapedeck_crds.errors import InvalidInput, NotFound, TapedeckError
from tapedeck_gateway.access.counted import counted_as
from tapedeck_gateway.access.guard import subprotocol_of
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.options import MESSAGE_BYTES
from tapedeck_gateway.push.channel_opening import kinds_of
from tapedeck_gateway.push.protocol.messages import (
    POLICY_VIOLATION,
    UNSUPPORTED_DATA,
    Pong,
    Resumed,
    SocketError,
    SocketLimits,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from tapedeck_gateway.push.protocol.requests import (
    SNAPSHOT_MAX,
    Ping,
    Request,
    Resume,
    Unsubscribe,
    decode_request,
)
from tapedeck_gateway.push.session import (
    FRAME_WRITER,
    PENDING_BYTES,
    PING_SECONDS,
    RESUME_BYTES,
    RESUME_MESSAGES,
    ChannelSubscription,
    FrameWriter,
)
from tapedeck_gateway.push.session_table import RESUME_SECONDS
from tapedeck_gateway.routes.open_sockets import counted_socket, refuse_socket

router = APIRouter(prefix="/api/v1")
NORMAL_CLOSURE = 1000
TOKEN_SECONDS = 5.0  # between two looks at whether the token is still valid


@router.websocket("/ws")
async def websocket_v1(socket: WebSocket, context: Context) -> None:
    """One socket. See docs/guides/websocket.md."""
    if await refuse_socket(socket, context):
        return
    await socket.accept(subprotocol_of(socket.scope))
    with counted_socket(socket, context):
        await _Connection(context, socket).serve()


class _Connection:
    """A socket and the session that it is attached to."""

    def __init__(self, context: GatewayContext, socket: WebSocket) -> None:
        self._context = context
        self._socket = socket
        self._client = counted_as(socket.scope)
        self._writer: FrameWriter = socket.scope["extensions"][FRAME_WRITER]
        self._session = context.sessions.open(socket.state.grant, self._client)

    async def serve(self) -> None:
        """Serve until the socket is closed; its session is kept for a while, unless the client closed it."""
        self._session.attach(self._writer)
        self._session.reply(self._welcome())
        self._context.services.watch(self._session)
        watching = asyncio.create_task(self._watch_token())
        code: object = None
        try:
            code = await self._receive()
        finally:
            watching.cancel()
            self._leave(resumable=code != NORMAL_CLOSURE and self._context.tokens.knows(self._session.grant))

    def _leave(self, *, resumable: bool) -> None:
        if self._session.attached_to(self._writer):  # no other socket has resumed it
            self._context.services.unwatch(self._session)
            (self._context.sessions.lose if resumable else self._context.sessions.end)(self._session)

    async def _receive(self) -> object:
        """Answer requests; returns the code with which the socket was closed."""
        while (frame := await self._socket.receive())["type"] == "websocket.receive":
            await self._context.rate.wait(self._client)  # uvicorn reads no further message meanwhile
            text = frame.get("text")
            if not isinstance(text, str):
                self._session.close(UNSUPPORTED_DATA, "got a binary frame, expected JSON in a text frame")
                continue
            await self._answer(text)
            await self._writer.wait_writable()  # who does not read answers asks nothing more
        return frame.get("code")

    async def _answer(self, text: str) -> None:
        request: Request | None = None
        try:
            request = decode_request(text)
            await self._handle(request)
        except TapedeckError as error:
            id = "" if request is None or isinstance(request, Resume) else request.id
            self._session.reply(SocketError(id, error.reason, str(error)))

    async def _handle(self, request: Request) -> None:
        session = self._session
        match request:
            case Ping(id=id):
                session.reply(Pong(id, int(time.time() * 1000)))
            case Unsubscribe(id=id):
                if not self._context.sessions.unsubscribe(session, id):
                    raise NotFound(f"id: got {id!r}, expected that of a subscription")
                session.reply(Unsubscribed(id))
            case Resume(session=id, seq=seq):
                self._resume(id, seq)
            case _:
                limit = self._context.options.limits.subscriptions
                if request.id in session.subscriptions:
                    raise InvalidInput(f"id: got {request.id!r} again, expected one that is not in use")
                if len(session.subscriptions) >= limit:
                    raise InvalidInput(f"subscribe: expected at most {limit} subscriptions")
                async with self._context.slots.slot(self._client):
                    channel = await self._context.channels.open(request)
                if not self._context.sessions.holds(session):  # resumed by another socket, and ended
                    self._context.channels.release(channel)
                    return
                session.reply(Subscribed(request.id, str(request.__struct_config__.tag), channel.name))
                session.add(ChannelSubscription(session, request.id, channel, kinds_of(request), request.snapshot))

    def _resume(self, id: str, seq: int) -> None:
        if self._session.subscriptions:
            raise InvalidInput("resume: got it after a subscription, expected it before the first")
        earlier = self._context.sessions.find(id, self._session.grant)
        if earlier is None:
            detail = f"the session is unknown, or its socket was lost more than {RESUME_SECONDS:.0f} s ago"
            self._session.reply(Resumed(self._session.id, False, 0, [], detail))
            return
        if earlier is self._session:
            raise InvalidInput("resume: got the session of this socket, expected that of an earlier one")
        self._context.services.unwatch(self._session)
        self._context.sessions.end(self._session)
        self._session = earlier
        earlier.resume(self._writer, seq)
        self._context.services.watch(earlier)

    async def _watch_token(self) -> None:
        while True:
            await asyncio.sleep(TOKEN_SECONDS)
            if not self._context.tokens.knows(self._session.grant):
                self._session.close(POLICY_VIOLATION, "the token is no longer valid")

    def _welcome(self) -> Welcome:
        limits = self._context.options.limits
        return Welcome(
            session=self._session.id,
            at=int(time.time() * 1000),
            version=VERSION,
            limits=SocketLimits(
                subscriptions=limits.subscriptions,
                sockets_of_client=limits.sockets_per_client,
                message_bytes=MESSAGE_BYTES,
                messages_per_second=limits.requests_per_second,
                message_burst=limits.request_burst,
                snapshot_items=SNAPSHOT_MAX,
                queue_bytes=PENDING_BYTES,
                stall_seconds=limits.stall_seconds,
                ping_seconds=PING_SECONDS,
                resume_seconds=RESUME_SECONDS,
                resume_messages=RESUME_MESSAGES,
                resume_bytes=RESUME_BYTES,
            ),
        )
