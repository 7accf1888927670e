"""The sessions of all WebSockets of /api/v1/ws, also of those that were lost a moment ago."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.push.channel_table import ChannelTable
from tapedeck_gateway.push.session import SocketSession

RESUME_SECONDS = 60.0
TICK_SECONDS = 1.0


class SessionTable:
    """Sessions by id. A lost socket's is kept for RESUME_SECONDS, and at most as many as there may be sockets."""

    def __init__(self, channels: ChannelTable, limits: GatewayLimits) -> None:
        self._channels = channels
        self._limits = limits
        self._attached: dict[str, SocketSession] = {}
        self._lost: OrderedDict[str, tuple[SocketSession, float]] = OrderedDict()
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Stop looking after the sessions."""
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)

    def open(self, grant: Grant, client: str) -> SocketSession:
        """A new session."""
        session = SocketSession(grant, client, self._limits.stall_seconds)
        self._attached[session.id] = session
        return session

    def find(self, id: str, grant: Grant) -> SocketSession | None:
        """A session that a holder of this grant may resume, which counts as attached from now on."""
        lost = self._lost.get(id)
        session = self._attached.get(id) if lost is None else lost[0]
        if session is None or session.grant != grant:
            return None
        self._lost.pop(id, None)
        self._attached[id] = session
        return session

    def holds(self, session: SocketSession) -> bool:
        """Whether a session has not ended."""
        return session.id in self._attached or session.id in self._lost

    def lose(self, session: SocketSession) -> None:
        """The session's socket is lost."""
        if self._attached.pop(session.id, None) is None:
            return
        session.detach()
        if not session.subscriptions:
            return
        own = [each for each, _ in self._lost.values() if each.client == session.client]
        if len(own) >= self._limits.sockets_per_client:
            self._end_lost(own[0])
        if len(self._lost) >= self._limits.sockets:
            self._end_lost(next(iter(self._lost.values()))[0])
        self._lost[session.id] = (session, time.monotonic() + RESUME_SECONDS)

    def end(self, session: SocketSession) -> None:
        """The session is over: its subscriptions end."""
        self._attached.pop(session.id, None)
        session.detach()
        for id in list(session.subscriptions):
            self.unsubscribe(session, id)

    def unsubscribe(self, session: SocketSession, id: str) -> bool:
        """End a subscription; returns whether there was one."""
        subscription = session.remove(id)
        if subscription is None:
            return False
        self._channels.release(subscription.channel)
        return True

    def _end_lost(self, session: SocketSession) -> None:
        del self._lost[session.id]
        self.end(session)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for session, expires in list(self._lost.values()):
                if expires > now:
                    break
                self._end_lost(session)
            for session in list(self._attached.values()):
                session.tick(now)
