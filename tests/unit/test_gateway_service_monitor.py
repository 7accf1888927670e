"""Whether the database answers: one that is slow, as on a busy machine, is told from one that refuses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from tapedeck_common.settings import Connections
from tapedeck_gateway import service_monitor
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.service_monitor import ServiceMonitor
from tapedeck_gateway.store.pool import AWAY_SECONDS, CONNECTION_SECONDS, Pool


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def patience_after(asked: int, port: int) -> list[float]:
    """How long a request waits for a connection, after each time that the monitor asked the database."""

    async def ask() -> list[float]:
        connections = Connections(store_dsn=SecretStr(f"postgresql://a:b@127.0.0.1:{port}/c"))
        pool = Pool(connections, GatewayLimits())
        monitor = ServiceMonitor(connections, pool)
        try:
            found = []
            for _ in range(asked):
                with pytest.raises((TimeoutError, psycopg.Error)):
                    await monitor._ask_database()
                found.append(pool.timeout)
            return found
        finally:
            await monitor.close()
            pool.close(timeout=1)

    return asyncio.run(ask())


def test_a_request_waits_for_a_database_that_is_slow(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_monitor, "ANSWER_SECONDS", 0.3)
    port = listener.getsockname()[1]
    assert patience_after(1, port) == [CONNECTION_SECONDS]
    monkeypatch.setattr(service_monitor, "CONNECTION_SECONDS", 0.5)
    assert patience_after(2, port) == [CONNECTION_SECONDS, AWAY_SECONDS]  # silent for longer than a request waits


def test_a_request_does_not_wait_for_a_database_that_refuses(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert patience_after(1, port) == [AWAY_SECONDS]
