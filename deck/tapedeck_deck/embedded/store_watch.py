"""A watch of the deck's objects: first those that are not over, then every change, whichever process made it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import structlog

from tapedeck_deck.embedded.change_notice import drain
from tapedeck_deck.embedded.objects import Change, Objects

log = structlog.get_logger()

POLL_SECONDS = 2.0  # should a notice be lost
UNNOTICED_POLL_SECONDS = 0.05  # where no socket can be made
PRUNE_VERSIONS = 1_000

ChangeHandler = Callable[[Change], None]


class StoreWatch:
    """Delivers changes to handlers, in the order in which they subscribed.

    Every write is noticed, those of other processes, such as the command line's, by their notice. Deletions are
    delivered from the construction of the watch on.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._handlers: list[ChangeHandler] = []
        self._version = objects.version
        self._pruned = 0
        self._wake = asyncio.Event()

    def subscribe(self, handler: ChangeHandler) -> None:
        """Call ``handler`` with every change. It must not block: it notes what it has to do, and does it later."""
        self._handlers.append(handler)

    async def run(self) -> None:
        """Deliver until cancelled. Raises DeckError where the file cannot be read, or the error of a handler.

        It may then be called again: what was not delivered to all handlers is delivered to all of them again.
        """
        loop = asyncio.get_running_loop()
        self._objects.on_commit(lambda: _set_from_any_thread(loop, self._wake))
        with contextlib.ExitStack() as stack:
            await self._follow(POLL_SECONDS if self._listen(loop, stack) else UNNOTICED_POLL_SECONDS)

    def _listen(self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack) -> bool:
        """Wake with each notice until the stack is left; False where none can come."""
        try:
            listener = stack.enter_context(self._objects.notice.listening())
        except OSError as error:
            log.warning("changes are looked for, since no notice of them can come", reason=str(error))
            return False
        loop.add_reader(listener, self._on_notice, listener)
        stack.callback(loop.remove_reader, listener)
        return True

    def _on_notice(self, listener: socket.socket) -> None:
        drain(listener)
        self._wake.set()

    async def _follow(self, poll_seconds: float) -> None:
        self._deliver([Change(False, document) for document in self._objects.list_current()])
        while True:
            self._wake.clear()
            if self._objects.version > self._version:
                changes, version = self._objects.changes(self._version)
                self._deliver(changes)
                self._version = version
                self._prune()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_seconds):
                    await self._wake.wait()

    def _deliver(self, changes: list[Change]) -> None:
        for change in changes:
            for handler in self._handlers:
                handler(change)

    def _prune(self) -> None:
        """The deck alone reads the log of changes, so it may delete what it has delivered."""
        if self._version - self._pruned >= PRUNE_VERSIONS:
            self._pruned = self._version
            self._objects.prune_changes(self._version)


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
