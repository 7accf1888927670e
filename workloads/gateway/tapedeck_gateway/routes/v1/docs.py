"""The documentation of the API: OpenAPI 3.1, and a page of it that asks no other host."""

from __future__ import annotations

import functools
from html import escape
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from tapedeck_crds.json import Json
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.routes.v1.documentation import openapi, status_text

router = APIRouter(prefix=API, include_in_schema=False)

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
@media (prefers-color-scheme: dark) { body { background: #14171c; color: #d6dae0; } a { color: #7db4ff; } }
h2 { border-bottom: 1px solid; margin-top: 2.5rem; text-transform: capitalize; }
h3 { font: 600 15px ui-monospace, monospace; margin-bottom: 0; }
table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
code, pre { font: 13px ui-monospace, monospace; } pre { overflow-x: auto; }
"""


@router.get("/openapi.json")
def openapi_document(request: Request) -> Response:
    """OpenAPI 3.1 of all routes of the API."""
    return Response(_document_of(request.app)[0], media_type="application/json")


@router.get("/docs")
def page(request: Request) -> Response:
    """The document as a page."""
    return Response(_document_of(request.app)[1], media_type="text/html")


@router.get("/docs.css")
def style() -> Response:
    """The page's style."""
    return Response(_STYLE, media_type="text/css")


@functools.lru_cache(maxsize=1)
def _document_of(app: Any) -> tuple[bytes, str]:
    """The document of an application as JSON and as a page: its routes are fixed."""
    routers = [getattr(route, "original_router", None) for route in app.routes]
    routes = [each for found in routers for each in getattr(found, "routes", ())]
    document = openapi(each for each in routes if isinstance(each, APIRoute) and each.path.startswith(f"{API}/"))
    return msgspec.json.encode(document), page_of(document)


def page_of(document: Json) -> str:
    """The document as HTML without scripts."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(method, path, operation))
    sections = [f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in by_tag.items()]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Tapedeck API</title><link rel=stylesheet href=docs.css><h1>Tapedeck API</h1>"
        f"<p>{escape(document['info']['description'])}</p><p><a href=openapi.json>OpenAPI 3.1</a></p>"
        f"{''.join(sections)}<h2>Types</h2>{''.join(schemas)}</html>"
    )


def _operation(method: str, path: str, operation: Json) -> str:
    rows = [_parameter(each) for each in operation.get("parameters", ())]
    bodies = operation.get("requestBody", {}).get("content", {})
    rows += [f"<tr><td><i>body</i><td>{_type(body['schema'])}<td>{escape(media)}" for media, body in bodies.items()]
    answers = [
        f"<tr><td>{status_text(code)}<td>{_type(_answer_schema(answer))}<td>{escape(answer['description'])}"
        for code, answer in operation["responses"].items()
        if int(code) < 400
    ]
    text = operation.get("description") or operation.get("summary", "")
    return (
        f"<h3 id={operation['operationId']}>{method.upper()} {escape(path)}</h3><p>{escape(text)}</p>"
        f"<table>{''.join(rows)}{''.join(answers)}</table>"
    )


def _answer_schema(answer: Json) -> Json:
    schema: Json = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _parameter(parameter: Json) -> str:
    required = ", required" if parameter.get("required") else ""
    described = escape(parameter.get("description", ""))
    return f"<tr><td><code>{escape(parameter['name'])}</code><td>{_type(parameter['schema'])}{required}<td>{described}"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#type-{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return " | ".join(escape(str(each)) for each in schema["enum"])
    if "const" in schema:
        return escape(str(schema["const"]))
    kinds = schema.get("type", "any")
    return escape(" or ".join(kinds) if isinstance(kinds, list) else str(kinds))


def _schema(name: str, schema: Json) -> str:
    rows = [
        f"<tr><td><code>{escape(field)}</code><td>{_type(of)}<td>{escape(of.get('description', ''))}"
        for field, of in schema.get("properties", {}).items()
    ]
    text = escape(schema.get("description", ""))
    return f"<h3 id='type-{name}'>{name}</h3><p>{text}</p><table>{''.join(rows)}</table>"
