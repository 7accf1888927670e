"""CryptoCompare's websocket, version 2. A pod uses one connection for all subscriptions, because plans limit them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.json_text import json_decoder
from tapedeck_common.logs import log
from tapedeck_feed.exchanges.connector import checked_connector
from tapedeck_feed.exchanges.cryptocompare.errors import ERROR_TYPES, translate_error
from tapedeck_feed.exchanges.cryptocompare.messages import Message
from tapedeck_feed.exchanges.errors import ExchangeUnreachable, InvalidFeedInput, SubscriptionLost

HOST = "wss://streamer.cryptocompare.com"
PATH = "/v2"
RECEIVE_TIMEOUT = 130.0  # seconds: a heartbeat arrives every 30 to 60
WELCOME, SUBSCRIBED, HEARTBEAT = "20", "16", "999"
# Message type → the fields that, with the type, make the subscription's id.
_ID_FIELDS = {
    "0": ("M", "FSYM", "TSYM"),
    "2": ("MARKET", "FROMSYMBOL", "TOSYMBOL"),
    "5": ("MARKET", "FROMSYMBOL", "TOSYMBOL"),
    "24": ("MARKET", "FROMSYMBOL", "TOSYMBOL", "UNIT"),
}
OnMessage = Callable[[Message], None]
_decode = json_decoder(Any)


class CryptoCompareWebsocket:
    """Connects at the first subscription; all subscriptions share the connection."""

    def __init__(
        self, host: str | None, key: str, policy: EndpointPolicy, receive_timeout: float = RECEIVE_TIMEOUT
    ) -> None:
        self._address = (host or HOST).rstrip("/") + PATH
        self._key = key
        self._policy = policy
        self._receive_timeout = receive_timeout
        self._connecting = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._connection: _SharedConnection | None = None
        self._connect_after = 0.0
        self.skew: int | None = None
        """Milliseconds by which its clock is ahead, from its welcome and heartbeats."""
        self.confirmed_ids: set[str] = set()
        """The subscriptions that it has ever confirmed."""

    async def subscribe(
        self,
        ids: Collection[str],
        on_message: OnMessage,
        on_activity: Callable[[], None],
        on_malformed: Callable[[str], None],
        *,
        heartbeats: bool,
    ) -> None:
        """Subscribe until the connection ends.

        ``on_activity`` is called for everything that shows that these subscriptions are alive, with ``heartbeats``
        also for the connection's heartbeats; ``on_malformed`` receives text that is no message. Raises
        SubscriptionLost, ExchangeUnreachable where none of these was confirmed, or InvalidFeedInput.
        """
        async with self._connecting:
            if self._connection is None or self._connection.ended.done():
                self._connection = await self._connect()
            connection = self._connection
        subscriber = _Subscriber(on_message, on_activity, on_malformed, heartbeats)
        await connection.add(ids, subscriber)
        try:
            error = await asyncio.shield(connection.ended)
        finally:
            connection.remove(ids, subscriber)
        if isinstance(error, SubscriptionLost) and not subscriber.confirmed:
            raise ExchangeUnreachable(str(error))
        raise error

    async def disconnect(self) -> None:
        """Close the connection; the next ``subscribe`` reconnects."""
        if self._connection is not None:
            await self._connection.close()

    async def close(self) -> None:
        """Close the connection and the HTTP session."""
        await self.disconnect()
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> _SharedConnection:
        if not self._key:
            raise InvalidFeedInput(
                "WrongKey", "apiKeySecret: missing, expected a Secret with the apiKey that the websocket requires"
            )
        await asyncio.sleep(max(self._connect_after - time.monotonic(), 0.0))
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=checked_connector(self._policy))
        headers = {"Authorization": f"Apikey {self._key}"}
        try:
            socket = await self._session.ws_connect(self._address, headers=headers, max_msg_size=0, autoping=True)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                message = f"apiKeySecret: the exchange rejects the key: {error.message}"
                raise InvalidFeedInput("WrongKey", message) from None
            header = error.headers.get("Retry-After", "") if error.headers is not None else ""
            retry_after = float(header) if header.isdigit() else None
            self._connect_after = time.monotonic() + (retry_after or 0.0)  # for every subscription of this pod
            raise ExchangeUnreachable(f"cryptocompare: {error.status}: {error.message}", retry_after) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExchangeUnreachable(f"cryptocompare: {error or type(error).__name__}") from None
        return _SharedConnection(self, socket, self._receive_timeout)


@dataclass(eq=False)
class _Subscriber:
    on_message: OnMessage
    on_activity: Callable[[], None]
    on_malformed: Callable[[str], None]
    heartbeats: bool
    confirmed: bool = False


class _SharedConnection:
    """One websocket and its subscribers. ``ended`` completes with the reason when the connection has ended."""

    def __init__(
        self, owner: CryptoCompareWebsocket, socket: aiohttp.ClientWebSocketResponse, receive_timeout: float
    ) -> None:
        self._owner = owner
        self._socket = socket
        self._receive_timeout = receive_timeout
        self._subscribers: dict[str, _Subscriber] = {}
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._receiving = asyncio.ensure_future(self._receive())

    async def add(self, ids: Collection[str], subscriber: _Subscriber) -> None:
        """Subscribe; messages may arrive before this returns."""
        self._subscribers |= dict.fromkeys(ids, subscriber)
        try:
            await self._socket.send_json({"action": "SubAdd", "subs": list(ids)})
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            self._end(SubscriptionLost(f"cryptocompare: {error}"))

    def remove(self, ids: Collection[str], subscriber: _Subscriber) -> None:
        """Stop passing messages of these subscriptions to the subscriber."""
        for subscription in ids:
            if self._subscribers.get(subscription) is subscriber:
                del self._subscribers[subscription]

    async def close(self) -> None:
        """End the connection from this side."""
        self._end(SubscriptionLost("cryptocompare: the connection was closed"))
        self._receiving.cancel()
        await self._socket.close()

    async def _receive(self) -> None:
        try:
            while not self.ended.done():
                message = await self._socket.receive(timeout=self._receive_timeout)
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._dispatch(message.data)
                elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                    self._end(SubscriptionLost("cryptocompare: the connection was lost"))
                elif message.type is aiohttp.WSMsgType.ERROR:
                    self._end(SubscriptionLost(f"cryptocompare: {self._socket.exception()}"))
        except TimeoutError:
            reason = f"no message for {self._receive_timeout:g} s, not even a heartbeat"
            self._end(SubscriptionLost(f"cryptocompare: {reason}"))
            await self._socket.close()
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            self._end(SubscriptionLost(f"cryptocompare: {error}"))

    def _end(self, reason: Exception) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    def _dispatch(self, text: str) -> None:
        try:
            message = _decode(text)
            message_type = str(message["TYPE"])
        except (msgspec.DecodeError, TypeError, KeyError):
            self._report_malformed(text)
            return
        if (fields := _ID_FIELDS.get(message_type)) is not None:
            subscription = "~".join((message_type, *(str(message.get(field)) for field in fields)))
            if (subscriber := self._subscribers.get(subscription)) is not None:
                subscriber.on_activity()
                subscriber.on_message(message)
            else:
                self._report_malformed(text)
        else:
            self._handle_control(message_type, message)

    def _handle_control(self, message_type: str, message: Message) -> None:
        if message_type in (WELCOME, HEARTBEAT):
            server_time = message.get("SERVER_TIME_MS", message.get("TIMEMS"))
            if type(server_time) is int:
                self._owner.skew = server_time - time.time_ns() // 1_000_000
            for subscriber in {*self._subscribers.values()}:
                if subscriber.confirmed and subscriber.heartbeats:
                    subscriber.on_activity()
        elif message_type == SUBSCRIBED:
            self._confirm(str(message.get("SUB")))
        elif message_type in ERROR_TYPES and (error := translate_error(message_type, message)) is not None:
            if isinstance(error, InvalidFeedInput) and message.get("PARAMETER") in self._owner.confirmed_ids:
                log.warning("the exchange stopped sending a subscription, the others continue", reason=str(error))
            else:
                self._end(error)

    def _confirm(self, subscription: str) -> None:
        self._owner.confirmed_ids.add(subscription)
        if (subscriber := self._subscribers.get(subscription)) is not None:
            subscriber.confirmed = True
            subscriber.on_activity()

    def _report_malformed(self, text: str) -> None:
        for subscriber in list(self._subscribers.values())[:1]:  # one report, whatever the number of subscribers
            subscriber.on_malformed(text)
