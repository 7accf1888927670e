"""A client of the gateway's API /api/v1 that checks each answer against the API's own document."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq

from pods.gateway import Gateway

API = "/api/v1"


@dataclass(frozen=True)
class ApiAnswer:
    """An answer; ``body`` is as it was sent."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def table(self) -> Any:
        """The Arrow table of a body in Arrow or Parquet."""
        if self.headers["content-type"] == "application/vnd.apache.parquet":
            return pq.read_table(io.BytesIO(self.body))
        return pa.ipc.open_stream(self.body).read_all()


@dataclass
class ApiClient:
    """Requests to a gateway. ``document`` is its OpenAPI document, read once."""

    gateway: Gateway
    token: str = ""
    _document: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        if not self._document:
            self._document = json.loads(self.send("GET", "/openapi.json").body)
        return self._document

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        body: object = None,
    ) -> ApiAnswer:
        """One request, whatever its answer."""
        url = f"{self.gateway.url}{API}{path}?{urllib.parse.urlencode(query or {}, doseq=True)}"
        sent = {**(headers or {}), **({"authorization": f"Bearer {self.token}"} if self.token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return ApiAnswer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return ApiAnswer(error.code, error.headers, error.read())

    def get(self, route: str, *, status: int = 200, run_id: str = "", **query: Any) -> Any:
        """The JSON of a route like /runs/{run_id}, which has this status and the type that the document says."""
        given = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        answer = self.send("GET", route.replace("{run_id}", run_id), given)
        assert answer.status == status, (route, query, answer.body[:500])
        self.check("get", route, answer)
        return answer.json

    def check(self, method: str, route: str, answer: ApiAnswer) -> None:
        """Fails where the document does not have such an answer of the route."""
        documented = self.document["paths"][API + route][method]["responses"][str(answer.status)]
        schema = documented["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
        jsonschema.validate(answer.json, {**schema, "components": self.document["components"]})

    def pages(self, route: str, rows: str, **query: Any) -> Iterator[list[Any]]:
        """The rows of each page, to the end."""
        cursor: str | None = ""
        while cursor is not None:
            answer = self.get(route, **query, cursor=cursor)
            yield answer[rows]
            cursor = answer["next"]
