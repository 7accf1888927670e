"""TCP ports of the loopback, without collisions between decks that start at the same time."""

from __future__ import annotations

import fcntl
import random
import socket
import time
from pathlib import Path
from typing import IO

from tapedeck_deck.embedded.download_cache import cache_dir
from tapedeck_deck.embedded.errors import DeckError

DEFAULT_PORT = 8750
"""The page's, where it is free."""
TRIES = 100
PORTS = range(15_000, 65_536)
CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
RESERVED_SECONDS = 300.0  # a port is not in use until its server starts


def free_port() -> int:
    """A port that is not in use, and that no process of this user is given again for RESERVED_SECONDS.

    It is none of those that the kernel gives to clients: a connection could take it before its server starts.
    Raises DeckError.
    """
    ports = _server_ports()
    for port in random.sample(ports, min(TRIES, len(ports))):
        if is_free(port) and _reserve(port):
            return port
    raise DeckError(f"found no free port on the loopback in {TRIES} attempts")


def require_free(port: int, name: str) -> None:
    """Raise DeckError if the port is in use. ``name`` is the option or the server that the error names."""
    try:
        socket.create_server(("127.0.0.1", port), reuse_port=False).close()
    except OSError as error:
        raise DeckError(
            f"{name}: got {port}, which is in use ({error.strerror}); "
            "expected a free port: stop the process that uses it, or choose another port"
        ) from None


def claim(port: int) -> IO[str] | None:
    """Reserve an unused port among decks until the returned file is closed; None if another deck has reserved it."""
    folder = cache_dir() / "ports"  # of this user's decks, whatever temporary directory each has
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = (folder / str(port)).open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _server_ports() -> list[int]:
    """The ports from which the kernel gives none to a client; all where it does not say, or where none is left."""
    try:
        first, last = map(int, CLIENT_PORTS.read_text().split())
    except (OSError, ValueError):
        return list(PORTS)
    return [port for port in PORTS if not first <= port <= last] or list(PORTS)


def is_free(port: int) -> bool:
    """Whether a server may listen at a port of the loopback address."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _reserve(port: int) -> bool:
    """Write down until when the port is reserved; False if it is reserved already."""
    handle = claim(port)
    if handle is None:
        return False
    with handle:
        handle.seek(0)
        if float(handle.read() or 0) > time.time():
            return False
        handle.truncate(0)
        handle.write(str(time.time() + RESERVED_SECONDS))
    return True
