"""Restarts broker and database when they end, and records why as events."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable

import structlog

from tapedeck_crds.base import format_ms
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.controllers import backoff
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.postgres import Postgres

log = structlog.get_logger()
DISK_FULL_BYTES = 1_000_000
_ERROR_LINE = re.compile(r"\b(ERROR|FATAL|PANIC)\b|^Caused by|Exception:")
STABLE_SECONDS = 60.0  # ends longer ago do not count for the backoff


class Supervisor:
    """Keeps broker and database running. They keep their ports and folders, so clients reconnect."""

    def __init__(self, broker: KafkaBroker, postgres: Postgres, objects: Objects) -> None:
        self._objects = objects
        self._services: dict[str, tuple[KafkaBroker | Postgres, Callable[[], None]]] = {
            "broker": (broker, broker.launch),
            "database": (postgres, postgres.start),
        }
        self._ends: dict[str, list[float]] = {name: [] for name in self._services}

    def check(self) -> None:
        """Restart a service that has ended, with exponential backoff."""
        now = time.monotonic()
        for name, (service, start) in self._services.items():
            process = service.process
            ends = self._ends[name]
            if process is not None and process.poll() is not None:
                service.process = None
                ends[:] = [t for t in ends if now - t < STABLE_SECONDS] + [now]
                self._record(name, "Ended", f"exit code {process.returncode}: {failure_message(service)}")
            if service.process is None and ends and now - ends[-1] >= backoff(len(ends)):
                self._start(name, start)

    def _start(self, name: str, start: Callable[[], None]) -> None:
        try:
            start()
        except DeckError as error:
            self._ends[name].append(time.monotonic())
            self._record(name, "CannotStart", str(error))

    def _record(self, name: str, reason: str, message: str) -> None:
        log.error("service failed", service=name, reason=reason, message=message)
        self._objects.add_event(
            {
                "uid": "deck",
                "kind": "Deck",
                "name": name,
                "namespace": "",
                "type": "Warning",
                "reason": reason,
                "message": message[-1000:],
                "at": format_ms(time.time_ns() // 1_000_000),
            }
        )


def failure_message(service: KafkaBroker | Postgres) -> str:
    """The last error in the log of a service that ended, or what to do where its disk is full."""
    free = shutil.disk_usage(service.data).free
    if free < DISK_FULL_BYTES:
        return (
            f"No space left on the disk of {service.data}: got {free // 1024} KiB free; "
            "free some; it restarts by itself and loses nothing"
        )
    lines = processes.tail(service.log, 200).splitlines()
    return next(
        (line for line in reversed(lines) if _ERROR_LINE.search(line)), lines[-1] if lines else "its log is empty"
    )
