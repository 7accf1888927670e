"""The other store, asked over HTTP: what it says to a request, and what that means."""

from __future__ import annotations

import http.client
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
WAIT_MAX_SECONDS = 300.0
REASON_MAX = 300
_ANSWER_BYTES = 65_536
_DROPPED = re.compile(r"partial write: .*\bdropped=(\d+)")


class Away(Exception):
    """It takes nothing now, for whatever reason; ``after`` are the seconds that it wants to be left alone, if any."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message[:REASON_MAX])
        self.after = after


class Refused(Exception):
    """It does not take these points, or not so many at once."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:REASON_MAX])


class Remote:
    """One connection, kept while it holds. ``secrets`` may hold ``authorization``, what the header of that name says
    (``Token …``, ``Basic …``, ``Bearer …``), and ``ca``, the PEM of the authority that signed the store's certificate.
    """

    def __init__(self, url: str, secrets: Path) -> None:
        self._parts = urlsplit(url)
        self._secrets = secrets
        self._connection: http.client.HTTPConnection | None = None

    def write(self, lines: list[str]) -> int:
        """Post points; returns how many of them it let fall. Raises Away and Refused."""
        body = "\n".join(lines).encode()
        try:
            status, text, after = self._post(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise Away(f"{self._parts.netloc}: {error or type(error).__name__}") from error
        if status < 300:
            return 0
        if dropped := _DROPPED.search(text):  # InfluxDB kept the rest
            return int(dropped[1])
        reason = f"{self._parts.netloc} answered {status}: {' '.join(text.split())}"
        if status in (400, 413, 422):
            raise Refused(reason)
        raise Away(reason, after)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes) -> tuple[int, str, float]:
        if self._connection is None:
            self._connection = self._connect()
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        headers = {"content-type": "text/plain; charset=utf-8"}
        if authorization := self._secret("authorization"):  # read anew: it may have been changed
            headers["authorization"] = authorization
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
        if answer.will_close or not answer.isclosed():
            self.close()
        after = answer.getheader("retry-after", "")
        return answer.status, text, min(float(after), WAIT_MAX_SECONDS) if after.isdigit() else 0.0

    def _connect(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, self._parts.port, timeout=TIMEOUT_SECONDS)
        authority = self._secrets / "ca"
        context = ssl.create_default_context(cafile=str(authority) if authority.is_file() else None)
        return http.client.HTTPSConnection(host, self._parts.port, timeout=TIMEOUT_SECONDS, context=context)

    def _secret(self, name: str) -> str:
        try:
            return (self._secrets / name).read_text().strip()
        except FileNotFoundError:
            return ""
