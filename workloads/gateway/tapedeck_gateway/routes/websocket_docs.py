"""The documentation of the WebSocket: /api/v1/asyncapi.json, and /docs/websocket as a page of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from html import escape

import msgspec
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from tapedeck_crds.json import Json
from tapedeck_gateway.push.protocol.asyncapi import ABOUT, ADDRESS, asyncapi_document
from tapedeck_gateway.push.protocol.messages import CLOSE_CODES
from tapedeck_gateway.routes.responses import json_response

router = APIRouter(include_in_schema=False)  # AsyncAPI's document is its own
_DOCUMENT, _PAGE, _STYLE = "/api/v1/asyncapi.json", "/docs/websocket", "/docs/websocket.css"
_CSS = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #8886; padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top; }
h2 { margin-top: 2.5rem; }
h3 { margin-bottom: 0; }
"""


def is_documentation(path: str) -> bool:
    """Whether a path is one of these, which hold nothing private."""
    return path in (_DOCUMENT, _PAGE, _STYLE)


@router.get(_DOCUMENT)
async def document() -> Response:
    """The AsyncAPI 3 document of the WebSocket."""
    return json_response(asyncapi_document())


@router.get(_PAGE)
async def page() -> HTMLResponse:
    """The messages of the WebSocket, for people."""
    return HTMLResponse(_page())


@router.get(_STYLE)
async def style() -> Response:
    return Response(_CSS, media_type="text/css")


@functools.cache
def _page() -> str:
    document = asyncapi_document()
    about = "".join(f"<p>{_text(paragraph)}</p>" for paragraph in ABOUT.strip().split("\n\n"))
    codes = _table(("Code", "Meaning"), [(f"<code>{code}</code>", _text(said)) for code, said in CLOSE_CODES.items()])
    sections = "".join(
        f"<h2>{escape(operation['summary'])}</h2>" + "".join(_message(document, each) for each in operation["messages"])
        for operation in document["operations"].values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Tapedeck WebSocket</title><link rel="stylesheet" href="{_STYLE}"></head><body>'
        f"<h1>WebSocket <code>{ADDRESS}</code></h1>{about}"
        f'<p>For programs: <a href="{_DOCUMENT}">AsyncAPI 3</a>.</p>{sections}'
        f"<h2>Close codes</h2>{codes}</body></html>"
    )


def _message(document: Json, reference: Json) -> str:
    name = reference["$ref"].rpartition("/")[2]
    message = document["components"]["messages"][name]
    schema_name = message["payload"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][schema_name]
    title = name.replace("subscribe.", "subscribe, channel ").replace("request.", "")
    return f"<h3><code>{escape(title)}</code></h3>{_described(schema)}{_fields(document, schema)}"


def _fields(document: Json, schema: Json) -> str:
    required = schema.get("required", ())
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required else f" = {msgspec.json.encode(field.get('default')).decode()}"
        rows.append((f"<code>{escape(name + default)}</code>", _kind(document, field), _text(_about(field))))
    return _table(("Field", "Type", ""), rows)


def _kind(document: Json, field: Json) -> str:
    """The type of a field; that of an item as a list of its fields."""
    if "enum" in field:
        return " or ".join(f"<code>{escape(msgspec.json.encode(value).decode())}</code>" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_kind(document, each) for each in field["anyOf"])
    if "$ref" in field:
        named = document["components"]["schemas"][field["$ref"].rpartition("/")[2]]
        if named.get("type") == "array":
            return "a list"
        return "{" + ", ".join(f"<code>{escape(name)}</code>" for name in named["properties"]) + "}"
    if field.get("type") == "array" and isinstance(field.get("items"), dict):
        return f"list of {_kind(document, field['items'])}"
    return escape(str(field.get("type", "any")))


def _about(field: Json) -> str:
    return str(field.get("description", ""))


def _described(schema: Json) -> str:
    paragraphs = " ".join(schema.get("description", "").split("\n    ")).strip().split("\n")
    return "".join(f"<p>{_text(paragraph)}</p>" for paragraph in paragraphs if paragraph.strip())


def _text(text: str) -> str:
    """HTML of text with `code` in it."""
    parts = escape(text.replace("``", "`")).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
