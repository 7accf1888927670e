"""Ports of the loopback, such that decks that start at the same time do not take one another's."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

from tapedeck_deck.embedded.errors import DeckError

_given: set[int] = set()
TRIES = 100


def free_port() -> int:
    """A port of the loopback that nobody listens on now, and that this process was not given before."""
    for _ in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
    raise DeckError(f"no free port on the loopback in {TRIES} tries")


def refuse_taken(port: int, name: str) -> None:
    """Raises DeckError where somebody listens on the port; ``name`` is what the port is called."""
    try:
        socket.create_server(("127.0.0.1", port), reuse_port=False).close()
    except OSError as error:
        raise DeckError(
            f"{name}: got {port}, which is in use ({error.strerror}); "
            "expected a free one: end what listens there, or choose another"
        ) from None


def claim(port: int) -> IO[str] | None:
    """Keep other decks from a port that nobody listens on yet, until the file is closed; None where one has it."""
    folder = Path(tempfile.gettempdir()) / f"tapedeck-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = (folder / str(port)).open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
