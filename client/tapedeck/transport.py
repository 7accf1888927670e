"""Requests to the gateway, its answers as JSON or Arrow, and its problem details as errors."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import httpx
import pyarrow as pa

from tapedeck.answers import JsonObject, arrow_of, json_of, objects_of, problem_of
from tapedeck.errors import (
    BadRequest,
    ClientError,
    GatewayUnavailable,
    NameTaken,
    NotAuthorized,
    PackageMissing,
    UnexpectedAnswer,
    UnknownName,
)
from tapedeck.sync_async import pause
from tapedeck.version import VERSION

Params: TypeAlias = Mapping[str, str | int | float | Sequence[str] | None]
PREFIX = "/api/v1"
ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
TRUNCATED_HEADER = "x-tapedeck-truncated"  # names the limit, rows or bytes, that cut the rows of a statement
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
ATTEMPTS = 4  # of a request that only reads
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
_ERRORS: dict[int, type[ClientError]] = {
    400: BadRequest, 401: NotAuthorized, 403: NotAuthorized, 404: UnknownName, 409: NameTaken, 413: BadRequest,
    415: BadRequest, 422: BadRequest, 429: GatewayUnavailable, 502: GatewayUnavailable, 503: GatewayUnavailable,
    504: GatewayUnavailable,
}  # fmt: skip


class Transport:
    """HTTP to one gateway. Threads may share it."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        verify: bool | str = True,
        trust_environment: bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"user-agent": f"tapedeck-client/{VERSION}"}
        if token:
            headers["authorization"] = f"Bearer {_checked_token(token)}"
        self._has_token = bool(token)
        try:
            self._client = httpx.Client(
                base_url=self.url + PREFIX,
                headers=headers,
                timeout=TIMEOUT,
                verify=verify if isinstance(verify, bool) else ssl.create_default_context(cafile=verify),
                trust_env=trust_environment,
                transport=transport,
            )
        except OSError as error:  # of the file of an authority, also ssl.SSLError
            raise BadRequest(f"verify: got {verify!r}, expected the file of an authority ({error})") from None
        except ImportError as error:  # of a proxy that the environment names
            raise PackageMissing(f"{error}") from None
        except (httpx.InvalidURL, ValueError) as error:
            raise BadRequest(f"url: got {url!r}, expected one like http://localhost:8750 ({error})") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, params: Params | None = None) -> JsonObject:
        """The JSON of an answer. Raises ClientError."""
        return json_of(self._read(path, params, JSON))

    def pages(self, path: str, name: str, params: Params | None = None) -> list[Any]:
        """All entries of a list that the gateway gives in pages. Raises ClientError."""
        entries: list[Any] = []
        cursor: str | None = None
        while True:
            answer = self.get(path, {**(params or {}), "cursor": cursor})
            entries += objects_of(answer, name)
            following = answer.get("next")
            if following is None:
                return entries
            if following == cursor:
                raise UnexpectedAnswer(f"{path}: got the same cursor twice, expected the next page")
            cursor = following

    def table(self, path: str, params: Params | None = None) -> pa.Table:
        """The Arrow table of an answer. Raises ClientError."""
        return arrow_of(self._read(path, {**(params or {}), "format": "arrow"}, ARROW))

    def query(self, path: str, body: Any, params: Params) -> tuple[pa.Table, str]:
        """The Arrow table that answers a POST which changes nothing, and which limit cut it. Raises ClientError."""
        answer = self._send("POST", path, params, {"accept": ARROW, "content-type": JSON}, body)
        return arrow_of(answer), answer.headers.get(TRUNCATED_HEADER, "")

    def send(self, method: str, path: str, body: Any = None) -> JsonObject:
        """The JSON of the answer to a request that changes something; it is sent once. Raises ClientError."""
        answer = self._send(method, path, None, {"content-type": JSON}, body)
        return json_of(answer) if answer.content else {}

    def _read(self, path: str, params: Params | None, accept: str) -> httpx.Response:
        for attempt in range(ATTEMPTS):
            try:
                return self._send("GET", path, params, {"accept": accept})
            except GatewayUnavailable as error:
                if attempt == ATTEMPTS - 1:
                    raise
                pause(min(error.retry_after or FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def _send(
        self, method: str, path: str, params: Params | None, headers: dict[str, str], body: Any = None
    ) -> httpx.Response:
        known = {name: value for name, value in (params or {}).items() if value is not None}
        content = None if body is None else _json_text(body)
        try:
            answer = self._client.request(method, path, params=known, headers=headers, content=content)
        except httpx.TransportError as error:
            text = f"the gateway at {self.url} does not answer ({_described(error)}); is it running? Nothing was lost"
            raise GatewayUnavailable(text) from error
        except httpx.RequestError as error:
            text = f"{self.url}{PREFIX}{path}: got an answer that cannot be read ({_described(error)})"
            raise UnexpectedAnswer(text) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise BadRequest(f"{path[:80]}: got parameters that no address can have ({error})") from error
        if answer.is_success:
            return answer
        raise self._error(answer)

    def _error(self, answer: httpx.Response) -> ClientError:
        """What the problem details of an answer say, and what to do."""
        problem = problem_of(answer)
        detail = str(problem.get("detail") or problem.get("title") or f"{answer.status_code} {answer.reason_phrase}")
        kind = _ERRORS.get(answer.status_code, UnexpectedAnswer)
        error = kind(
            f"{detail}{self._advice(answer.status_code)}",
            status=answer.status_code,
            reason=str(problem.get("reason") or ""),
            field=str(problem.get("field") or ""),
        )
        if isinstance(error, GatewayUnavailable) and answer.headers.get("retry-after", "").isdigit():
            error.retry_after = float(answer.headers["retry-after"])
        return error

    def _advice(self, status: int) -> str:
        match status:
            case 401 | 403 if not self._has_token:
                return "; give connect() a token, or set TAPEDECK_TOKEN beside TAPEDECK_URL"
            case 401:
                return f"; the gateway at {self.url} does not know this token: ask its administrator for another"
            case 429 | 502 | 503 | 504:
                return "; try again"
            case 404 | 405:
                return f" (at {self.url})"
            case status if status >= 500:
                return f" (at {self.url}); its log has the details"
        return ""


def _checked_token(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise BadRequest("token: got characters that no token has, expected printable ASCII without line ends")
    return token


def _json_text(body: Any) -> str:
    try:
        return json.dumps(body)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"request: got a value that JSON does not have ({error}); expected plain values") from None


def _described(error: Exception) -> str:
    return str(error) or type(error).__name__
