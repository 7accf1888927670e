"""Notice of changes between processes: who has written to the deck's objects wakes the deck that watches them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tapedeck_common.unix_socket import socket_address

RECEIVED_BYTES = 4096  # of notices that came together


class ChangeNotice:
    """Datagrams on a Unix socket beside the objects' file. A lost one delays a change until the file is looked at."""

    def __init__(self, file: Path) -> None:
        self._path = file.with_suffix(".changed")
        self._sender: socket.socket | None = None

    def send(self) -> None:
        """Wake the deck that listens, if one does."""
        with contextlib.suppress(OSError):
            if self._sender is None:
                self._sender = _datagram_socket()
            self._sender.sendto(b"\0", socket_address(self._path))

    def close(self) -> None:
        """Send no more."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[socket.socket]:
        """A socket that becomes readable with a notice. Raises OSError where it cannot be made."""
        with _datagram_socket() as listener:
            self._path.unlink(missing_ok=True)  # of a deck that was killed
            listener.bind(socket_address(self._path))
            try:
                yield listener
            finally:
                self._path.unlink(missing_ok=True)


def drain(listener: socket.socket) -> None:
    """Take all notices that have come."""
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.recv(RECEIVED_BYTES)


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
