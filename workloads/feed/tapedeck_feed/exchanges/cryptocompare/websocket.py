"""CryptoCompare's websocket, version 2: one connection for all that a pod listens to, because plans count them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import aiohttp
import msgspec

from tapedeck_common.logs import log
from tapedeck_feed.exchanges.adapter import BadInput, Broken, Unreachable
from tapedeck_feed.exchanges.cryptocompare.errors import FAULTS, fault_of
from tapedeck_feed.exchanges.cryptocompare.messages import Message

HOST = "wss://streamer.cryptocompare.com"
PATH = "/v2"
PATIENCE = 130.0  # seconds: a heartbeat comes every 30 to 60
WELCOME, ADDED, HEARTBEAT = "20", "16", "999"
_KEYS = {
    "0": ("M", "FSYM", "TSYM"),
    "2": ("MARKET", "FROMSYMBOL", "TOSYMBOL"),
    "5": ("MARKET", "FROMSYMBOL", "TOSYMBOL"),
    "24": ("MARKET", "FROMSYMBOL", "TOSYMBOL", "UNIT"),
}
Take = Callable[[Message], None]


class Streamer:
    """Connects when something is listened to, once for all that is."""

    def __init__(self, host: str | None, key: str, patience: float = PATIENCE) -> None:
        self._address = (host or HOST).rstrip("/") + PATH
        self._key = key
        self._patience = patience
        self._turn = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._connection: _Connection | None = None
        self._dial_from = 0.0
        self.skew: int | None = None
        """Milliseconds by which its clock is ahead, as its welcome and heartbeats tell."""
        self.added: set[str] = set()
        """What it has sent at any time."""

    async def listen(
        self,
        subs: Collection[str],
        take: Take,
        heard: Callable[[], None],
        malformed: Callable[[str], None],
        *,
        beats: bool,
    ) -> None:
        """Listen until the connection ends: raises Broken, or Unreachable where nothing of it came; BadInput.

        ``heard`` hears of everything that shows that these subscriptions are alive, with ``beats`` of the connection's
        heartbeats too; ``malformed`` hears of what is no message.
        """
        async with self._turn:
            if self._connection is None or self._connection.over.done():
                self._connection = await self._connect()
            connection = self._connection
        listener = _Listener(take, heard, malformed, beats)
        await connection.add(subs, listener)
        try:
            error = await asyncio.shield(connection.over)
        finally:
            connection.leave(subs, listener)
        if isinstance(error, Broken) and not listener.worked:
            raise Unreachable(str(error))
        raise error

    async def drop(self) -> None:
        """Close the connection: the next ``listen`` makes another."""
        if self._connection is not None:
            await self._connection.close()

    async def close(self) -> None:
        """End all."""
        await self.drop()
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> _Connection:
        if not self._key:
            raise BadInput(
                "WrongKey", "apiKeySecret: missing, expected a Secret with the apiKey that the websocket asks for"
            )
        await asyncio.sleep(max(self._dial_from - time.monotonic(), 0.0))
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Authorization": f"Apikey {self._key}"}
        try:
            socket = await self._session.ws_connect(self._address, headers=headers, max_msg_size=0, autoping=True)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise BadInput("WrongKey", f"apiKeySecret: the exchange refuses the key: {error.message}") from None
            after = error.headers.get("Retry-After", "") if error.headers is not None else ""
            wait = float(after) if after.isdigit() else None
            self._dial_from = time.monotonic() + (wait or 0.0)  # for all that listen here
            raise Unreachable(f"cryptocompare: {error.status}: {error.message}", wait) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"cryptocompare: {error or type(error).__name__}") from None
        return _Connection(self, socket, self._patience)


@dataclass(eq=False)
class _Listener:
    take: Take
    heard: Callable[[], None]
    malformed: Callable[[str], None]
    beats: bool
    worked: bool = False


class _Connection:
    """One websocket. ``over`` is done with the reason when it has ended."""

    def __init__(self, owner: Streamer, socket: aiohttp.ClientWebSocketResponse, patience: float) -> None:
        self._owner = owner
        self._socket = socket
        self._patience = patience
        self._listeners: dict[str, _Listener] = {}
        self.over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read())

    async def add(self, subs: Collection[str], listener: _Listener) -> None:
        """Subscribe; the messages may come before this returns."""
        self._listeners |= dict.fromkeys(subs, listener)
        try:
            await self._socket.send_json({"action": "SubAdd", "subs": list(subs)})
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            self._end(Broken(f"cryptocompare: {error}"))

    def leave(self, subs: Collection[str], listener: _Listener) -> None:
        """Nobody listens to these any more."""
        for sub in subs:
            if self._listeners.get(sub) is listener:
                del self._listeners[sub]

    async def close(self) -> None:
        """End it from this side."""
        self._end(Broken("cryptocompare: the connection was closed"))
        self._reading.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        try:
            while not self.over.done():
                message = await self._socket.receive(timeout=self._patience)
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                    self._end(Broken("cryptocompare: the connection was lost"))
                elif message.type is aiohttp.WSMsgType.ERROR:
                    self._end(Broken(f"cryptocompare: {self._socket.exception()}"))
        except TimeoutError:
            self._end(Broken(f"cryptocompare: nothing came for {self._patience:g} s, not even a heartbeat"))
            await self._socket.close()
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            self._end(Broken(f"cryptocompare: {error}"))

    def _end(self, reason: Exception) -> None:
        if not self.over.done():
            self.over.set_result(reason)

    def _take(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
            kind = str(message["TYPE"])
        except (msgspec.DecodeError, TypeError, KeyError):
            self._malformed(text)
            return
        if (names := _KEYS.get(kind)) is not None:
            sub = "~".join((kind, *(str(message.get(name)) for name in names)))
            if (listener := self._listeners.get(sub)) is not None:
                listener.heard()
                listener.take(message)
            else:
                self._malformed(text)
        else:
            self._control(kind, message)

    def _control(self, kind: str, message: Message) -> None:
        if kind in (WELCOME, HEARTBEAT):
            stamp = message.get("SERVER_TIME_MS", message.get("TIMEMS"))
            if type(stamp) is int:
                self._owner.skew = stamp - time.time_ns() // 1_000_000
            for one in {*self._listeners.values()}:
                if one.worked and one.beats:
                    one.heard()
        elif kind == ADDED:
            sub = str(message.get("SUB"))
            self._owner.added.add(sub)
            if (listener := self._listeners.get(sub)) is not None:
                listener.worked = True
                listener.heard()
        elif kind in FAULTS and (fault := fault_of(kind, message)) is not None:
            if isinstance(fault, BadInput) and message.get("PARAMETER") in self._owner.added:
                log.warning("not sent any more, the others are", reason=str(fault))
            else:
                self._end(fault)

    def _malformed(self, text: str) -> None:
        for listener in list(self._listeners.values())[:1]:  # it is told once
            listener.malformed(text)
