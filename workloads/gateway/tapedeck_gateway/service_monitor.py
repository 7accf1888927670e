"""Whether broker and database answer: asked every two seconds, shown by the probes and pushed to every WebSocket.

A store with the schema of another version is one that cannot be used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeAlias

import psycopg
from confluent_kafka import KafkaException
from prometheus_client import Gauge

from tapedeck_common.kafka import admin
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_version import SchemaMismatch, check_schema_async
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.json import Json
from tapedeck_gateway.store.pool import CONNECTION_SECONDS, Pool

CHECK_SECONDS = 2.0
ANSWER_SECONDS = 3.0
NO_ANSWER = "does not answer"

Service: TypeAlias = Literal["broker", "database"]

_up = Gauge(
    "tapedeck_gateway_dependency_up", "1 if a service that the gateway needs answers, 0 if it does not.", ["dependency"]
)


class StateWatcher(Protocol):
    """Who is told of the services: a client of a WebSocket."""

    def set_state(self, name: str, message: Json) -> None:
        """Send a message in place of an unsent one of this name."""


class ServiceMonitor:
    """Asks broker and database in tasks of the event loop, over connections of its own."""

    def __init__(self, connections: Connections, pool: Pool) -> None:
        self._connections = connections
        self._pool = pool
        self._admin = admin(connections, "tapedeck-gateway-monitor")
        self._database: psycopg.AsyncConnection[Any] | None = None
        # Empty for a service that answers, None for one that was not asked yet.
        self._problems: dict[Service, str | None] = {"broker": None, "database": None}
        self._database_answered_at = time.monotonic()
        self._watchers: set[StateWatcher] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._complete = False

    def start(self) -> None:
        """Begin to ask. Called in the event loop."""
        checks: dict[Service, Callable[[], Awaitable[None]]] = {
            "broker": self._ask_broker,
            "database": self._ask_database,
        }
        self._tasks = [asyncio.create_task(self._watch_service(service, check)) for service, check in checks.items()]

    async def close(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close_database()

    @property
    def ready(self) -> bool:
        """Whether requests can be served: both services have answered since the start, and one of them does now.

        A gateway that has lost one service stays ready, because it still serves what the other has.
        """
        return self._complete and "" in self._problems.values()

    @property
    def summary(self) -> str:
        """One line for each service."""
        said = {name: NO_ANSWER if problem is None else problem for name, problem in self._problems.items()}
        return "\n".join(f"{name}: {problem or 'answers'}" for name, problem in said.items())

    @property
    def silent(self) -> list[Service]:
        """The services that do not answer now."""
        return [name for name, problem in self._problems.items() if problem]

    def watch(self, client: StateWatcher) -> None:
        """Push the state to a client, now and at each change."""
        self._watchers.add(client)
        if None not in self._problems.values():
            client.set_state("services", self._message())

    def unwatch(self, client: StateWatcher) -> None:
        """Stop pushing to a client."""
        self._watchers.discard(client)

    def _message(self) -> Json:
        return {"type": "services", **{name: problem == "" for name, problem in self._problems.items()}}

    async def _watch_service(self, service: Service, check: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS + 1):
                    await check()
            except SchemaMismatch as error:
                self._set(service, str(error), str(error))
            except (KafkaException, psycopg.Error, TimeoutError) as error:
                self._set(service, NO_ANSWER, str(error) or f"no answer within {ANSWER_SECONDS:.0f} s")
            else:
                self._set(service, "")
            await asyncio.sleep(CHECK_SECONDS)

    def _set(self, service: Service, problem: str, reason: str = "") -> None:
        before = self._problems[service]
        if before == problem:
            return
        if problem:
            log.warning("a service cannot be used", service=service, reason=reason)
        elif before:
            log.info("a service answers again", service=service)
        self._problems[service] = problem
        _up.labels(service).set(not problem)
        self._complete = self._complete or all(found == "" for found in self._problems.values())
        if None not in self._problems.values():
            for client in list(self._watchers):
                client.set_state("services", self._message())

    async def _ask_broker(self) -> None:
        self._admin.clear_security_error()
        try:
            await asyncio.to_thread(self._admin.list_topics, MARKET_BARS, ANSWER_SECONDS)
        except KafkaException:
            self._admin.poll(0)  # runs the error callback
            if (cause := self._admin.last_security_error()) is not None:
                raise KafkaException(cause) from None
            raise

    async def _ask_database(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._database is None:
                    dsn = self._connections.store_dsn.get_secret_value()
                    self._database = await psycopg.AsyncConnection.connect(
                        dsn, autocommit=True, application_name="tapedeck-gateway-monitor"
                    )
                    await check_schema_async(self._database)
                await self._database.execute("SELECT 1")
        except (psycopg.Error, SchemaMismatch, TimeoutError) as error:
            # One that is only slow, as on a busy machine, may answer a request that waits for it.
            silent = time.monotonic() - self._database_answered_at > CONNECTION_SECONDS
            self._pool.expect_answers(not isinstance(error, psycopg.Error) and not silent)
            await self._close_database()
            raise
        self._database_answered_at = time.monotonic()
        self._pool.expect_answers(True)

    async def _close_database(self) -> None:
        if self._database is not None:
            await self._database.close()
            self._database = None
