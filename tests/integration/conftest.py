"""Fixtures of a gateway process and clients of its WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from websockets.sync.client import connect

from pods.gateway import (
    Gateway,
    running_gateway,
)
from pods.socket_client import SocketClient
from tapedeck_common.settings import Connections

Subscribe = Callable[..., SocketClient]


@pytest.fixture
def gateway(tmp_path: Path, store: str, connections: Connections) -> Iterator[Gateway]:
    reader = connections.model_copy(update={"store_dsn": SecretStr(store.replace("postgres@", "tapedeck_reader@"))})
    with running_gateway(tmp_path, reader) as gateway:
        yield gateway


@pytest.fixture
def subscribe(gateway: Gateway) -> Iterator[Subscribe]:
    """Opens a WebSocket with subscriptions; it is closed with the test."""
    with ExitStack() as stack:
        url = f"ws://127.0.0.1:{gateway.port}/ws"
        yield lambda *subscriptions: SocketClient(stack.enter_context(connect(url, max_size=None)), *subscriptions)
