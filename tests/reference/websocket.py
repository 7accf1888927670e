"""The messages of the WebSocket, from its AsyncAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference.markdown import code, prose, table
from tapedeck_crds.json import Json
from tapedeck_gateway.push.protocol.asyncapi import ADDRESS, asyncapi_document
from tapedeck_gateway.push.protocol.messages import CLOSE_CODES


def page() -> str:
    """The page of messages."""
    document = asyncapi_document()
    parts = [
        "# WebSocket messages\n",
        f"[WebSocket](../guides/websocket.md) says how a session works. Messages are JSON at {code(ADDRESS)}; a "
        "running "
        "gateway documents them at `/docs/websocket`, and for programs as AsyncAPI 3 at `/api/v1/asyncapi.json`.\n",
    ]
    for operation in document["operations"].values():
        parts.append(f"## {operation['summary'].rstrip('.')}\n")
        for reference in operation["messages"]:
            parts += _message(document, reference["$ref"].rpartition("/")[2])
    parts += [
        "## Close codes\n",
        table(("code", "meaning"), ((code(c), prose(said)) for c, said in CLOSE_CODES.items())),
    ]
    return "\n".join(parts)


def _message(document: Json, name: str) -> Iterator[str]:
    components = document["components"]
    message = components["messages"][name]
    schema = components["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
    yield f"### {name.removeprefix('request.')}\n"
    yield f"{prose(schema.get('description') or message['summary'])}\n"
    required = set(schema.get("required", ()))
    rows = [
        (code(field), _type(each), "required" if field in required else "", prose(each.get("description", "")))
        for field, each in schema["properties"].items()
    ]
    yield table(("field", "type", "", "what it is"), rows)


def _type(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if isinstance(schema.get("items"), dict) else "list"
    return str(schema.get("type", "any"))
