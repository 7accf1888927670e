"""A client of a gateway whose requests are timed."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from pods.gateway import Gateway

WITHOUT_LIMITS = '{"limits": {"requestsPerSecond": 100000, "requestBurst": 100000, "querySeconds": 120}}'


class GatewayReader:
    """One connection to the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)

    def get(self, path: str, **query: object) -> bytes:
        """The body of a successful answer. Raises RuntimeError for another one."""
        self._connection.request("GET", f"{path}?{urlencode(query)}", headers={"accept-encoding": "identity"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: got {answer.status}: {body[:300]!r}")
        return body


def milliseconds(call: Callable[..., object], *values: object, **query: object) -> float:
    """What a call takes."""
    started = time.perf_counter()
    call(*values, **query)
    return (time.perf_counter() - started) * 1_000


def p99_of(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[int(len(values) * 0.99)]
