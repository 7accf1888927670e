"""The TCP socket on which a pod listens."""

from __future__ import annotations

import socket


def listen(host: str, port: int, backlog: int | None = None) -> socket.socket:
    """A socket that listens on a port, any free one for 0. Raises OSError where it is taken.

    What is written to a connection of it is sent at once. asyncio asks for that only on sockets that name TCP as their
    protocol, and those of ``create_server`` name none. Without it the body of a response, which is written after its
    head, waits until the client acknowledges the head: 40 ms on Linux.
    """
    listener = socket.create_server((host, port), backlog=backlog)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listener
