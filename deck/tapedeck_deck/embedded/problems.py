"""What keeps a running deck from its work: said once where its user looks, until the cause is gone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from tapedeck_common.pod.shell import error_place
from tapedeck_crds.base import format_ms
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.private_files import FILE

log = structlog.get_logger()
FILE_BYTES = 8192
MESSAGE_CHARACTERS = 500
KEPT_EVENTS = 100  # that could not be stored yet
RETRY_FIRST, RETRY_MAX = 0.5, 10.0
STEADY_SECONDS = 2.0  # a part that ran for so long works again
# Of the machine, not of a pod or a resource: the same call succeeds once there is space or a descriptor again.
_OF_THE_MACHINE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
    errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE,
}  # fmt: skip


class Problems:
    """The present problems of a deck's parts, by part. No method raises: they are called where something has failed.

    They are in the log, in events of the deck, and in a file that `tapedeck status` reads. That file takes its space on
    the disk when the deck starts, and is only overwritten afterwards: it can be written to on a full disk.
    """

    def __init__(self, file: Path, add_event: Callable[[Json], None]) -> None:
        self._add_event = add_event
        self._present: dict[str, str] = {}
        self._events: deque[Json] = deque(maxlen=KEPT_EVENTS)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE)
        self._save()

    def report(self, part: str, problem: BaseException | str, *, reason: str = "Problem") -> None:
        """A part cannot do its work. The same problem again is not said again."""
        message = problem if isinstance(problem, str) else describe(problem)
        if self._present.get(part) == message:
            return
        self._present[part] = message
        log.error("a part of the deck has a problem", part=part, problem=message)
        self._note(part, "Warning", reason, message)

    def solved(self, part: str) -> None:
        """A part works, or works again."""
        problem = self._present.pop(part, None)
        if problem is not None:
            log.info("a part of the deck works again", part=part, problem=problem)
            self._note(part, "Normal", "Recovered", f"it works again after: {problem}")

    def store_events(self) -> None:
        """Store the events that could not be stored when they happened."""
        with contextlib.suppress(TapedeckError, OSError):
            while self._events:
                self._add_event(self._events[0])
                self._events.popleft()

    def _note(self, part: str, kind: str, reason: str, message: str) -> None:
        self._events.append(
            {
                "uid": "deck",
                "kind": "Deck",
                "name": part,
                "namespace": "",
                "type": kind,
                "reason": reason,
                "message": message[-1000:],
                "at": format_ms(time.time_ns() // 1_000_000),
            }
        )
        self._save()
        self.store_events()

    def _save(self) -> None:
        shown = {part: message[:MESSAGE_CHARACTERS] for part, message in self._present.items()}
        while len(text := json.dumps(shown).encode()) > FILE_BYTES:
            shown.popitem()
        with contextlib.suppress(OSError):
            os.pwrite(self._file, text.ljust(FILE_BYTES), 0)


def read_problems(file: Path) -> dict[str, str]:
    """The present problems of a running deck, by part."""
    try:
        found: dict[str, str] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def describe(problem: BaseException) -> str:
    """One line for the user: what the error says, and for an unexpected one its place in the code."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    if isinstance(problem, TapedeckError):
        return " ".join(str(problem).split())
    if isinstance(problem, OSError) and problem.strerror:
        subject = f"{problem.filename}: " if problem.filename else ""
        return f"{subject}{problem.strerror}"
    place = f" ({error_place(problem)})" if isinstance(problem, Exception) else ""
    return " ".join(f"{type(problem).__name__}: {problem}{place}".split())


def of_the_machine(error: BaseException) -> bool:
    """Whether an error says that the machine lacks something for now, such as space on its disk."""
    return isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE)


async def keep_running(part: str, run: Callable[[], Coroutine[Any, Any, None]], problems: Problems) -> None:
    """Run a part for ever: again after each error, with growing waits from half a second to ten."""
    wait = RETRY_FIRST
    while True:
        running = asyncio.create_task(run())
        try:
            await asyncio.wait({running}, timeout=STEADY_SECONDS)
            if not running.done():
                problems.solved(part)
                wait = RETRY_FIRST
            await running
        except Exception as error:
            problems.report(part, error)
        finally:
            running.cancel()
        await asyncio.sleep(wait)
        wait = min(wait * 2, RETRY_MAX)
