"""The open connections, bounded in all and for each client."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import Counter, Gauge

_open = Gauge("tapedeck_gateway_connections", "Open HTTP connections, without WebSockets.")
_dropped = Counter("tapedeck_gateway_dropped_connections_total", "Connections that were ended to make room for others.")


class CountedConnection(Protocol):
    """A connection of a client."""

    client_key: str

    def drop(self) -> None:
        """End the connection at once."""


class ConnectionTable:
    """Connections by client, and those that wait for a request, the longest first.

    A connection beyond a limit takes the place of the one that has waited longest for its client to say something, so
    that half-open requests keep nobody out. It is refused only where all others are being answered.
    """

    def __init__(self, limit: int, limit_of_client: int) -> None:
        self._limit = limit
        self._limit_of_client = limit_of_client
        self._by_client: dict[str, dict[CountedConnection, None]] = {}
        self._waiting: dict[CountedConnection, None] = {}
        self._count = 0

    def open(self, connection: CountedConnection) -> bool:
        """Add a connection, which waits for its first request; returns whether there was room for it."""
        own = self._by_client.get(connection.client_key, {})
        if len(own) >= self._limit_of_client and not self._drop(next((c for c in own if c in self._waiting), None)):
            return False
        if self._count >= self._limit and not self._drop(next(iter(self._waiting), None)):
            return False
        self._by_client.setdefault(connection.client_key, {})[connection] = None
        self._waiting[connection] = None
        self._count += 1
        _open.set(self._count)
        return True

    def answer(self, connection: CountedConnection) -> None:
        """A whole request has arrived on the connection: it is no longer dropped for others."""
        self._waiting.pop(connection, None)

    def wait(self, connection: CountedConnection) -> None:
        """The connection waits for its next request."""
        if connection in self._by_client.get(connection.client_key, {}):
            self._waiting.pop(connection, None)
            self._waiting[connection] = None

    def close(self, connection: CountedConnection) -> None:
        """Remove a connection, if it is there."""
        own = self._by_client.get(connection.client_key, {})
        if connection not in own:
            return
        del own[connection]
        if not own:
            del self._by_client[connection.client_key]
        self._waiting.pop(connection, None)
        self._count -= 1
        _open.set(self._count)

    def _drop(self, connection: CountedConnection | None) -> bool:
        if connection is None:
            return False
        self.close(connection)
        connection.drop()
        _dropped.inc()
        return True
