"""The socket on which a pod listens: small messages are sent at once, also by asyncio's server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tapedeck_common.pod.listener import listen


def is_sent_at_once(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_an_accepted_connection_sends_at_once() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert is_sent_at_once(accepted)


def test_a_connection_of_asyncio_sends_at_once() -> None:
    async def accepted() -> bool:
        found = asyncio.get_running_loop().create_future()

        def on_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(is_sent_at_once(writer.get_extra_info("socket")))
            writer.close()

        with listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(on_connection, sock=listener):
                with socket.create_connection(listener.getsockname()):
                    return bool(await asyncio.wait_for(found, 10))

    assert asyncio.run(accepted())


def test_a_port_is_taken_once() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="Address already in use"):
        listen("127.0.0.1", listener.getsockname()[1])
