"""Whether broker and database answer: asked every two seconds, shown by the probes and pushed to every WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import psycopg
from confluent_kafka import KafkaException
from prometheus_client import Gauge

from tapedeck_common.kafka import admin
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.json import Json
from tapedeck_gateway.push.send_queue import SendQueue
from tapedeck_gateway.store.pool import AWAY_SECONDS, CONNECTION_SECONDS, Pool

CHECK_SECONDS = 2.0
ANSWER_SECONDS = 3.0

Service: TypeAlias = Literal["broker", "database"]

_up = Gauge("tapedeck_gateway_service_up", "Whether a service of the gateway answers: 1 or 0.", ["service"])


class ServiceMonitor:
    """Asks broker and database in tasks of the event loop, over connections of its own."""

    def __init__(self, connections: Connections, pool: Pool) -> None:
        self._connections = connections
        self._pool = pool
        self._admin = admin(connections, "tapedeck-gateway-monitor")
        self._database: psycopg.AsyncConnection[Any] | None = None
        self._answers: dict[Service, bool | None] = {"broker": None, "database": None}
        self._watchers: set[SendQueue] = set()
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
        return self._complete and any(self._answers.values())

    @property
    def summary(self) -> str:
        """One line for each service."""
        return "\n".join(f"{name}: {'answers' if up else 'does not answer'}" for name, up in self._answers.items())

    def watch(self, client: SendQueue) -> None:
        """Push the state to a client, now and at each change."""
        self._watchers.add(client)
        if None not in self._answers.values():
            client.set_state("services", self._message())

    def unwatch(self, client: SendQueue) -> None:
        """Stop pushing to a client."""
        self._watchers.discard(client)

    def _message(self) -> Json:
        return {"type": "services", **{name: bool(up) for name, up in self._answers.items()}}

    async def _watch_service(self, service: Service, check: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS + 1):
                    await check()
            except (KafkaException, psycopg.Error, TimeoutError) as error:
                self._set(service, False, str(error) or f"no answer within {ANSWER_SECONDS:.0f} s")
            else:
                self._set(service, True)
            await asyncio.sleep(CHECK_SECONDS)

    def _set(self, service: Service, up: bool, reason: str = "") -> None:
        if self._answers[service] is up:
            return
        if not up:
            log.warning("a service does not answer", service=service, reason=reason)
        elif self._answers[service] is False:
            log.info("a service answers again", service=service)
        self._answers[service] = up
        if service == "database":
            self._pool.timeout = CONNECTION_SECONDS if up else AWAY_SECONDS
        _up.labels(service).set(up)
        self._complete = self._complete or all(self._answers.values())
        if None not in self._answers.values():
            for client in self._watchers:
                client.set_state("services", self._message())

    async def _ask_broker(self) -> None:
        await asyncio.to_thread(self._admin.list_topics, MARKET_BARS, ANSWER_SECONDS)

    async def _ask_database(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._database is None:
                    dsn = self._connections.store_dsn.get_secret_value()
                    self._database = await psycopg.AsyncConnection.connect(
                        dsn, autocommit=True, application_name="tapedeck-gateway-monitor"
                    )
                await self._database.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            await self._close_database()
            raise

    async def _close_database(self) -> None:
        if self._database is not None:
            await self._database.close()
            self._database = None
