"""How routes of /api/v1 are declared and documented: the answers of each, and OpenAPI 3.1 made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias, TypeVar

import msgspec
from fastapi import APIRouter, Response
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from tapedeck_common.version import VERSION
from tapedeck_crds.json import Json
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types import analytics, market, problem, resources, run_details, runs, sql, uploads
from tapedeck_gateway.api_types.problem import MEDIA_TYPE
from tapedeck_gateway.routes.v1.body_schemas import body_schemas
from tapedeck_gateway.routes.v1.table_formats import MEDIA_TYPES

TYPE_MODULES: tuple[ModuleType, ...] = (market, runs, run_details, analytics, sql, problem, resources, uploads)
"""The modules whose types become components of the document."""
OPENAPI_VERSION = "3.1.0"
BYTES = "application/octet-stream"
_REFERENCE = "#/components/schemas/{name}"
_PROBLEMS = {
    400: "A parameter, named in `field`, is wrong.",
    401: "The gateway needs a token, and got none that it knows.",
    403: "The token may not do this, or the host or the origin is not listed.",
    404: "Nothing has this name.",
    408: "The request was not complete in time.",
    409: "Something else has this name, or it has changed meanwhile.",
    413: "The body is larger than the gateway takes.",
    429: "The client asks too often; `Retry-After` says when to try again.",
    431: "Path, query and headers are larger than the gateway takes.",
    500: "An error of the gateway; its log has the details.",
    503: "A service that the answer needs does not answer; try again.",
    504: "The database did not answer in time; ask for less.",
}
_DESCRIPTION = """\
Market data, runs and analytics. Times are integer milliseconds UTC; ranges are `from <= ts < to`. Lists have pages:
`next` is the `cursor` of the next one. What belongs to a replay ends at its position, unless `future=1` asks for more.
Errors are problem details (RFC 9457).
"""
Handler = TypeVar("Handler", bound=Callable[..., Any])
Documented: TypeAlias = dict[int | str, dict[str, Any]]


def documented(answer: type[msgspec.Struct], *, tables: bool = False, status: int = 200) -> Documented:
    """The answers of a route: its type, the same as a table where it has that, and the problems of every route."""
    content: dict[str, Any] = {"application/json": {"schema": _reference(answer)}}
    if tables:
        content |= {text: {"schema": {"type": "string", "format": "binary"}} for text in MEDIA_TYPES.values()}
    described = (answer.__doc__ or "").split("\n")[0]
    answers: Documented = {status: {"description": described, "content": content}}
    return answers | problems()


def problems(others: Mapping[int, str] = MappingProxyType({})) -> Documented:
    """The problems of every route, and ``others`` by their status."""
    return {code: _problem(text) for code, text in (_PROBLEMS | dict(others)).items()}


def request_body(component: str, *types: str) -> Json:
    """OpenAPI's description of a body that a route reads itself: the name of its type, and its content types."""
    content = {each: {"schema": {"$ref": _REFERENCE.format(name=component)}} for each in types}
    return {"requestBody": {"required": True, "content": content}}


def binary_body() -> Json:
    """OpenAPI's description of a body of bytes."""
    content = {BYTES: {"schema": {"type": "string", "format": "binary", "minLength": 1}}}
    return {"requestBody": {"required": True, "content": content}}


def reading(
    router: APIRouter, path: str, answer: type[msgspec.Struct], *, tables: bool = False, cached: bool = False
) -> Callable[[Handler], Handler]:
    """Declares a route that reads, for GET and HEAD."""
    answers = documented(answer, tables=tables)
    if cached:
        answers |= {304: {"description": "Nothing has changed since the answer with this ETag."}}

    def declare(handler: Handler) -> Handler:
        router.get(path, response_class=Response, responses=answers, operation_id=handler.__name__)(handler)
        router.head(path, response_class=Response, include_in_schema=False)(handler)
        return handler

    return declare


def openapi(routes: Iterable[BaseRoute]) -> Json:
    """The document of the routes."""
    document = get_openapi(
        title="Tapedeck",
        version=VERSION,
        openapi_version=OPENAPI_VERSION,
        description=_DESCRIPTION,
        routes=list(routes),
        servers=[{"url": "/"}],
    )
    components = document.setdefault("components", {})
    schemas = {**_schemas(), **body_schemas(), **components.get("schemas", {})}
    components["schemas"] = {name: schema for name, schema in schemas.items() if "ValidationError" not in name}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"token": []}]
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # invalid parameters are 400
    return document


def _schemas() -> Json:
    types = [
        each
        for module in TYPE_MODULES
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    ]
    return dict(msgspec.json.schema_components(types, ref_template=_REFERENCE)[1])


def _reference(of: type[msgspec.Struct]) -> Json:
    return {"$ref": _REFERENCE.format(name=of.__name__)}


def _problem(text: str) -> Json:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": _reference(problem.Problem)}}}


def status_text(code: str) -> str:
    """A status with its phrase."""
    return f"{code} {HTTPStatus(int(code)).phrase}"


def is_documented(path: str) -> bool:
    """Whether a path is that of the document or of its page, which hold nothing private."""
    return path in (f"{API}/openapi.json", f"{API}/docs", f"{API}/docs.css")
