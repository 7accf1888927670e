"""Restarts broker and database when they end, and says why."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import Callable

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.controllers import backoff
from tapedeck_deck.embedded.disk_space import full_disk
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.problems import Problems, describe
from tapedeck_deck.embedded.process_ends import ProcessEnds

_ERROR_LINE = re.compile(r"\b(ERROR|FATAL|PANIC)\b|^Caused by|Exception:")
STEADY_SECONDS = 5.0  # of a service that works again
RESTART_CHECK_SECONDS = 0.1  # between two looks whether a service that has ended may start again
STABLE_SECONDS = 60.0  # ends longer ago do not count for the backoff


class Supervisor:
    """Keeps broker and database running. They keep their ports and folders, so clients reconnect."""

    def __init__(self, broker: KafkaBroker, postgres: Postgres, problems: Problems) -> None:
        self._problems = problems
        self._services: dict[str, tuple[KafkaBroker | Postgres, Callable[[], None]]] = {
            "broker": (broker, broker.launch),
            "database": (postgres, postgres.start),
        }
        self._ends: dict[str, list[float]] = {name: [] for name in self._services}
        self._started = dict.fromkeys(self._services, 0.0)

    def check(self) -> None:
        """Restart a service that has ended, with exponential backoff, once its disk has space."""
        for name, (service, start) in self._services.items():
            ends = self._ends[name]
            process = service.process
            if process is not None and process.poll() is not None:
                service.process = None
                self._end(name, "Ended", f"exit code {process.returncode}: {failure_message(service)}")
            now = time.monotonic()
            if service.process is not None:
                if now - self._started[name] > STEADY_SECONDS:
                    self._problems.solved(name)
            elif ends and now - ends[-1] >= backoff(len(ends)) and full_disk(service.data) is None:
                self._start(name, start)

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until broker or database ends; a moment only where one does not run."""
        running = [service.process for service, _ in self._services.values() if service.process is not None]
        ended = asyncio.Event()
        ends = ProcessEnds(ended.set)
        longest = seconds if len(running) == len(self._services) else RESTART_CHECK_SECONDS
        try:
            for process in running:
                ends.watch(process)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest):
                    await ended.wait()
        finally:
            for process in running:
                ends.forget(process)

    def _start(self, name: str, start: Callable[[], None]) -> None:
        self._started[name] = time.monotonic()
        try:
            start()
        except (DeckError, OSError, subprocess.SubprocessError) as error:
            self._end(name, "CannotStart", describe(error))

    def _end(self, name: str, reason: str, message: str) -> None:
        now = time.monotonic()
        self._ends[name] = [t for t in self._ends[name] if now - t < STABLE_SECONDS] + [now]
        self._problems.report(name, message, reason=reason)


def failure_message(service: KafkaBroker | Postgres) -> str:
    """The last error in the log of a service that ended, or what to do where its disk is full."""
    if (full := full_disk(service.data)) is not None:
        return full
    lines = processes.tail(service.log, 200).splitlines()
    return next(
        (line for line in reversed(lines) if _ERROR_LINE.search(line)), lines[-1] if lines else "its log is empty"
    )
