"""Fixtures of a gateway process, a browser's page, clients of its WebSocket, and a recorder with its services."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page
from websockets.sync.client import connect

from pods.browser import open_browser
from pods.channel_client import ChannelClient, OpenSocket
from pods.gateway import Gateway, running_gateway
from pods.machine import Machine, running_machine
from pods.market import Market
from pods.recorder import recorders
from pods.recorder_stage import RecorderStage
from pods.services import EachStore, Services, as_role
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema


@pytest.fixture(scope="module")
def schema(services: Services) -> None:
    """The tables in the database that all tests share."""
    upgrade_schema(services.postgres.dsn())


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A broker and a database that the tests of a module may kill."""
    with running_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, connections: Connections) -> Iterator[Gateway]:
    with running_gateway(tmp_path, as_role(connections, "tapedeck_reader")) as gateway:
        yield gateway


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a browser."""
    with open_browser() as page:
        yield page


@pytest.fixture
def open_socket(gateway: Gateway) -> Iterator[OpenSocket]:
    """Opens a WebSocket; it is closed with the test."""
    with ExitStack() as stack:
        url = f"ws://127.0.0.1:{gateway.port}/api/v1/ws"
        yield lambda: ChannelClient(stack.enter_context(connect(url, max_size=None, open_timeout=60)))


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


@pytest.fixture
def market(connections: Connections) -> Market:
    return Market(connections)
