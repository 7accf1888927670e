"""Posting line protocol over HTTP, and what a sink's status codes mean."""

from __future__ import annotations

import http.client
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from tapedeck_common.logs import hide_secret
from tapedeck_crds.errors import TapedeckError, Unavailable

TIMEOUT_SECONDS = 10.0
RETRY_AFTER_MAX_SECONDS = 300.0
REASON_MAX = 300
_RESPONSE_BYTES = 65_536
_DROPPED = re.compile(r"partial write: .*\bdropped=(\d+)")


class SinkUnreachable(Unavailable):
    """The sink accepts nothing now. ``retry_after`` is the wait in seconds that it demands, 0 for none."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message[:REASON_MAX])
        self.retry_after = retry_after


class PointsRejected(TapedeckError):
    """The sink rejects some of these points, or the size of the request."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:REASON_MAX])


class LineProtocolClient:
    """One keep-alive connection to a sink.

    The folder ``secrets`` may hold the file ``authorization``, the value of the header of that name (``Token …``,
    ``Basic …``, ``Bearer …``), and the file ``ca``, the PEM of the authority that signed the sink's certificate.
    """

    def __init__(self, url: str, secrets: Path) -> None:
        self._parts = urlsplit(url)
        self._secrets = secrets
        self._connection: http.client.HTTPConnection | None = None

    def write(self, lines: list[str]) -> int:
        """Post points; returns how many of them the sink dropped. Raises SinkUnreachable and PointsRejected."""
        body = "\n".join(lines).encode()
        try:
            status, text, retry_after = self._post(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise SinkUnreachable(f"{self._parts.netloc}: {error or type(error).__name__}") from error
        if status < 300:
            return 0
        if dropped := _DROPPED.search(text):  # InfluxDB wrote the other points
            return int(dropped[1])
        reason = f"{self._parts.netloc} answered {status}: {' '.join(text.split())}"
        if status in (400, 413, 422):
            raise PointsRejected(reason)
        raise SinkUnreachable(reason, retry_after)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes) -> tuple[int, str, float]:
        """Status, text, and the seconds of the header Retry-After."""
        if self._connection is None:
            self._connection = self._connect()
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        headers = {"content-type": "text/plain; charset=utf-8"}
        if authorization := self._secret("authorization"):  # read for each request: it may be rotated
            headers["authorization"] = authorization
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        text = response.read(_RESPONSE_BYTES).decode("utf-8", "replace")
        if response.will_close or not response.isclosed():
            self.close()
        retry_after = response.getheader("retry-after", "")
        seconds = min(float(retry_after), RETRY_AFTER_MAX_SECONDS) if retry_after.isdigit() else 0.0
        return response.status, text, seconds

    def _connect(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, self._parts.port, timeout=TIMEOUT_SECONDS)
        authority = self._secrets / "ca"
        context = ssl.create_default_context(cafile=str(authority) if authority.is_file() else None)
        return http.client.HTTPSConnection(host, self._parts.port, timeout=TIMEOUT_SECONDS, context=context)

    def _secret(self, name: str) -> str:
        try:
            secret = (self._secrets / name).read_text().strip()
        except FileNotFoundError:
            return ""
        hide_secret(secret)
        return secret
