"""The routes of the gateway's API, from its OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx

from reference.markdown import code, prose, table
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.app import make_app
from tapedeck_gateway.options import GatewayOptions

_METHODS = ("get", "post", "patch", "put", "delete")


def document() -> Json:
    """The OpenAPI document of /api/v1."""
    return asyncio.run(_fetched())


async def _fetched() -> Json:
    app = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        found: Json = (await client.get("/api/v1/openapi.json")).json()
        return found


def page() -> str:
    """The page of routes."""
    api = document()
    parts = [
        "# REST\n",
        "[The API](../guides/rest-api.md) says how times, intervals, pages, formats, errors and caches work. A "
        "running gateway "
        "has the same as `/api/v1/docs` for people and `/api/v1/openapi.json` for programs. "
        "[Resources by the API](../guides/control-api.md) has the requests that change something.\n",
    ]
    common = _common_answers(api)
    parts += ["## Answers of every route\n", table(("status", "answer", "type"), common)]
    for path, operations in api["paths"].items():
        for method in _METHODS:
            if method in operations:
                parts += _operation(api, path, method, operations[method], common)
    parts.append("## Types\n")
    for name, schema in sorted(api.get("components", {}).get("schemas", {}).items()):
        if "properties" in schema:
            parts += _schema(name, schema)
    return "\n".join(parts)


def _common_answers(api: Json) -> list[tuple[str, ...]]:
    """The answers that all routes have."""
    each = [
        _answers(one) for operations in api["paths"].values() for name, one in operations.items() if name in _METHODS
    ]
    return [answer for answer in each[0] if all(answer in others for others in each)]


def _answers(operation: Json) -> list[tuple[str, ...]]:
    return [
        (code(status), prose(answer.get("description", "")), _content(answer))
        for status, answer in operation.get("responses", {}).items()
    ]


def _operation(api: Json, path: str, method: str, operation: Json, common: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"## {method.upper()} `{path}`\n"
    yield f"{prose(operation.get('description') or operation.get('summary') or '')}\n"
    rows = [_parameter(api, each) for each in operation.get("parameters", ())]
    if rows:
        yield table(("parameter", "in", "type", "what it is"), rows)
    bodies = operation.get("requestBody", {}).get("content", {})
    if bodies:
        yield table(("body", "type"), [(code(media), _type(body["schema"])) for media, body in bodies.items()])
    answers = [answer for answer in _answers(operation) if answer not in common]
    yield table(("status", "answer", "type"), answers)


def _parameter(api: Json, parameter: Json) -> tuple[str, ...]:
    if "$ref" in parameter:
        parameter = api["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
    required = " (required)" if parameter.get("required") else ""
    about = parameter.get("description") or parameter.get("schema", {}).get("description") or ""
    return code(parameter["name"]) + required, parameter["in"], _type(parameter.get("schema", {})), prose(about)


def _content(answer: Json) -> str:
    kinds = {_type(body.get("schema", {})) for body in answer.get("content", {}).values()}
    return ", ".join(sorted(kind for kind in kinds if kind))


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{prose(schema['description'])}\n"
    rows = [
        (code(field), _type(each), prose(each.get("description", ""))) for field, each in schema["properties"].items()
    ]
    yield table(("field", "type", "what it is"), rows)


def _type(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    for name in ("anyOf", "oneOf"):
        if name in schema:
            kinds = [_type(each) for each in schema[name] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {})) or 'any'}"
    if "const" in schema:
        return code(schema["const"])
    kinds = schema.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
