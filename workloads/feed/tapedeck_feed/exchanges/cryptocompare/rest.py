"""CryptoCompare's REST interface, within its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from tapedeck_feed.exchanges.adapter import BadInput, Unanswerable, Unreachable

HOST = "https://min-api.cryptocompare.com"
PER_SECOND = 20  # what the smallest plans allow
TIMEOUT = 30.0
NO_KEY, LIMITED = 1, 99  # the types of its refusals
# How long to leave it alone where so many calls were made in a span that no more are allowed.
WINDOWS = {"second": 1.0, "minute": 20.0, "hour": 60.0, "day": 120.0, "month": 120.0}


class Rest:
    """Questions to one host, ``at_once`` under way together. ``sharers`` pods share what rate it allows."""

    def __init__(self, host: str | None, key: str, sharers: int, at_once: int) -> None:
        self._host = (host or HOST).rstrip("/")
        self._headers = {"Authorization": f"Apikey {key}"} if key else {}  # not in the address, which errors show
        self._apart = sharers / PER_SECOND
        self._next = 0.0
        self._turn = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, *, under: str = "Data", **parameters: str | int) -> Any:
        """What is ``under`` a name. Raises BadInput for the key, Unreachable, and Unanswerable for other refusals."""
        async with self._turn:
            now = time.monotonic()
            at, self._next = max(self._next, now), max(self._next, now) + self._apart
            await asyncio.sleep(at - now)
            try:
                return await self._asked(path, under, parameters)
            except Unreachable as error:
                self._next += error.wait or 0.0
                raise

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()

    async def _asked(self, path: str, under: str, parameters: Mapping[str, str | int]) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT), headers=self._headers)
        try:
            async with self._session.get(f"{self._host}{path}", params=parameters) as answer:
                status, after, body = answer.status, answer.headers.get("Retry-After", ""), await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"cryptocompare: {path}: {error or type(error).__name__}") from None
        return data_of(path, under, status, float(after) if after.isdigit() else None, body)


def data_of(path: str, under: str, status: int, after: float | None, body: bytes) -> Any:
    """What an answer holds ``under`` a name.

    It has two ways to refuse: ``Response``, mostly with status 200, and ``Err``.
    """
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    said: dict[str, Any] = answer if isinstance(answer, dict) else {}
    fault: Any = said.get("Err") if isinstance(said.get("Err"), dict) else {}
    text = str(said.get("Message") or fault.get("message") or body[:200].decode("utf-8", "replace"))[:300]
    kind = said.get("Type") if said.get("Response") == "Error" else None
    if status in (401, 403) or kind == NO_KEY:
        raise BadInput("WrongKey", f"apiKeySecret: the exchange refuses the key: {text}")
    if status in (418, 429) or kind == LIMITED:
        wait = after if after is not None else _spent(said.get("RateLimit"))
        raise Unreachable(f"cryptocompare: too many requests: {text}", wait)
    if status >= 500:
        raise Unreachable(f"cryptocompare: {path}: {status}: {text}")
    if status != 200 or kind is not None or fault or under not in said:
        raise Unanswerable(f"cryptocompare: {path}: {status}: {text}")
    return said[under]


def _spent(limits: Any) -> float:
    """Seconds to wait, by the longest span whose calls are all made."""
    made, most = (limits.get("calls_made"), limits.get("max_calls")) if isinstance(limits, dict) else (None, None)
    if not isinstance(made, dict) or not isinstance(most, dict):
        return 5.0
    over = [WINDOWS[span] for span in WINDOWS if span in most and made.get(span, 0) >= most[span]]
    return max(over, default=5.0)
