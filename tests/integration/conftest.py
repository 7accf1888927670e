"""Fixtures of a gateway process, clients of its WebSocket, and a recorder with its services."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect

from pods.gateway import (
    Gateway,
    running_gateway,
)
from pods.recorder import recorders
from pods.recorder_stage import RecorderStage
from pods.services import EachStore, Services, as_role
from pods.socket_client import SocketClient
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema

Subscribe = Callable[..., SocketClient]


@pytest.fixture(scope="module")
def schema(services: Services) -> None:
    """The tables in the database that all tests share."""
    upgrade_schema(services.postgres.dsn())


@pytest.fixture
def gateway(tmp_path: Path, connections: Connections) -> Iterator[Gateway]:
    with running_gateway(tmp_path, as_role(connections, "tapedeck_reader")) as gateway:
        yield gateway


@pytest.fixture
def subscribe(gateway: Gateway) -> Iterator[Subscribe]:
    """Opens a WebSocket with subscriptions; it is closed with the test."""
    with ExitStack() as stack:
        url = f"ws://127.0.0.1:{gateway.port}/ws"
        yield lambda *subscriptions: SocketClient(stack.enter_context(connect(url, max_size=None)), *subscriptions)


@pytest.fixture
def stage(services: Services, each_store: EachStore, tmp_path: Path) -> Iterator[RecorderStage]:
    """A recorder on both kinds of database, with the rights of its role."""
    upgrade_schema(each_store.dsn("postgres"))
    with recorders(tmp_path, services.broker.bootstrap, each_store.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        yield RecorderStage(services, each_store.dsn("postgres"), recorder)


@pytest.fixture
def exchange() -> str:
    """An exchange of this test alone: all tests share the topics."""
    return f"x{uuid.uuid4().hex[:8]}"
