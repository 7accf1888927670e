"""The open channels of /api/v1/ws, and what makes them publish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TypeAlias

from tapedeck_common.logs import log
from tapedeck_crds.errors import NotFound, Unavailable
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.channel_opening import ChannelSources
from tapedeck_gateway.push.metrics import CHANNELS
from tapedeck_gateway.push.protocol.requests import Subscribe
from tapedeck_gateway.push.push_schedule import PushSchedule
from tapedeck_gateway.push.replay_channel import ReplayChannel

POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0
STATE_SECONDS = 1.0  # between two states of a replay
UNUSED_SECONDS = 5.0  # after which a channel is closed whose first client is gone
_Key: TypeAlias = tuple[str, bool]


class ChannelTable:
    """Channels by name and whether they may show the future. Runs in the event loop; blocking calls run in threads."""

    def __init__(self, sources: ChannelSources) -> None:
        self._sources = sources
        self._loop = asyncio.get_running_loop()
        self._schedule = PushSchedule(self._push)
        self._channels: dict[_Key, Channel] = {}
        self._opening: dict[_Key, asyncio.Task[Channel]] = {}
        self._occupied = asyncio.Event()  # set while there are channels
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._tick())]

    async def close(self) -> None:
        """Stop polling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self, request: Subscribe) -> Channel:
        """The channel of a request, which needs a subscriber before anything else is awaited.

        Raises InvalidInput, NotFound, Unavailable.
        """
        name = await asyncio.to_thread(self._sources.name_of, request)
        key = (name, request.future)
        channel = self._channels.get(key)
        if channel is None:
            opening = self._opening.get(key)
            if opening is None:
                opening = self._opening[key] = asyncio.create_task(self._open(key, request))
                opening.add_done_callback(lambda task: task.cancelled() or task.exception())
            # A client that is gone meanwhile must not end it: what the thread opens is closed again.
            channel = await asyncio.shield(opening)
        return channel

    async def _open(self, key: _Key, request: Subscribe) -> Channel:
        try:
            channel = self._channels[key] = await asyncio.to_thread(self._sources.open, request, key[0])
            self._count()
        finally:
            del self._opening[key]
        self._loop.call_later(UNUSED_SECONDS, self.release, channel)
        return channel

    def release(self, channel: Channel) -> None:
        """Close a channel that no subscriber is left of."""
        if channel.subscribers:
            return
        for key, each in list(self._channels.items()):
            if each is channel:
                del self._channels[key]
                self._count()
                channel.close()

    def _count(self) -> None:
        CHANNELS.set(len(self._channels))
        if self._channels:
            self._occupied.set()
        else:
            self._occupied.clear()

    def on_change(self, changed: set[str]) -> None:
        """Push what these changes of the topic reader concern. Called in the topic reader's thread."""
        self._schedule.on_change(changed)

    def _push(self, changed: set[str]) -> None:
        for channel in list(self._channels.values()):
            if not changed.isdisjoint(channel.changed_by):
                with _logged(channel):
                    channel.push()

    async def _tick(self) -> None:
        while await self._occupied.wait():
            await asyncio.sleep(STATE_SECONDS)
            for channel in list(self._channels.values()):
                if isinstance(channel, ReplayChannel):
                    with _logged(channel):
                        channel.publish_state()

    async def _poll(self) -> None:
        """Poll what no topic tells of: results of runs, limits of markets that a replay records, parts of bars."""
        while await self._occupied.wait():
            for channel in [each for each in self._channels.values() if each.must_poll]:
                with _logged(channel):
                    if await self._has_changed(channel):
                        channel.push()
            await asyncio.sleep(POLL_SECONDS)

    @staticmethod
    async def _has_changed(channel: Channel) -> bool:
        try:
            return await asyncio.to_thread(channel.poll)
        except (Unavailable, NotFound) as error:
            log.warning("polling a channel failed", channel=channel.name, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
            return False


@contextlib.contextmanager
def _logged(channel: Channel) -> Iterator[None]:
    """A fault of one channel must not end what pushes all others."""
    try:
        yield
    except Exception:
        log.exception("a channel failed", channel=channel.name)
