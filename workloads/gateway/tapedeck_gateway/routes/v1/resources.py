"""Feeds, Replays and Backtests: list, get, create, patch, delete, their events, and the ends of their logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response

from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import NAMESPACE_PATTERN
from tapedeck_gateway.access.errors import RequestDenied
from tapedeck_gateway.api_types.resources import (
    BacktestPage,
    EventPage,
    FeedPage,
    ReplayPage,
    ResourceLog,
    ShownResource,
)
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.resources.activity import EventPlace, events_of, logs_of, without_message
from tapedeck_gateway.resources.listing import ListPlace, list_page
from tapedeck_gateway.resources.manifests import parse_manifest, parse_patch
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.body_schemas import PATCH
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.documentation import documented, problems, reading, request_body
from tapedeck_gateway.routes.v1.parameters import CursorText, Limit
from tapedeck_gateway.routes.v1.resource_access import (
    JSON_TYPES,
    PATCH_TYPES,
    YAML_TYPES,
    Body,
    ChangedNamespace,
    DryRun,
    Name,
    ReadNamespace,
    ResourcesApi,
    note_change,
    require_type,
)
from tapedeck_gateway.routes.v1.resource_visibility import Visibility

LINES_MAX = 5_000
_PAGES = {"Feed": FeedPage, "Replay": ReplayPage, "Backtest": BacktestPage}
Handler = TypeVar("Handler", bound=Callable[..., Response])
OneNamespace: TypeAlias = Annotated[str, Query(max_length=63, pattern=f"^$|{NAMESPACE_PATTERN}")]
Tail: TypeAlias = Annotated[int, Query(ge=1, le=LINES_MAX, description="Lines of each pod.")]


def resource_routes(kind: str) -> APIRouter:
    """The routes of one kind."""
    plural = KINDS[kind].plural
    router = APIRouter(prefix="/api/v1", tags=[plural])
    of_namespace = f"/namespaces/{{namespace}}/{plural}"
    one = f"{of_namespace}/{{name}}"

    @_reading(router, f"/{plural}", f"list_{plural}", _PAGES[kind])
    def list_all(
        request: Request,
        api: ResourcesApi,
        context: Context,
        visibility: Visibility,
        namespace: OneNamespace = "",
        limit: Limit = 1_000,
        cursor: CursorText = "",
    ) -> Response:
        """The resources of a namespace, or of all that the gateway shows, by namespace and name."""
        place = decode_cursor(cursor, ListPlace) or ListPlace()
        found, following = list_page(api, plural, _namespaces(context, namespace), limit, place)
        page = {plural: [visibility.seen(each) for each in found], "next": encode_cursor(following)}
        return json_answer(request, page)

    @_reading(router, one, f"get_{plural}", ShownResource)
    def get(
        request: Request, api: ResourcesApi, visibility: Visibility, namespace: ReadNamespace, name: Name
    ) -> Response:
        """One resource, as Kubernetes has it."""
        return json_answer(request, visibility.seen(api.get(plural, namespace, name)))

    @router.post(
        of_namespace,
        operation_id=f"create_{plural}",
        response_class=Response,
        status_code=201,
        responses=documented(ShownResource, status=201) | documented(ShownResource),
        openapi_extra=request_body(kind, "application/json", "application/yaml"),
    )
    def create(
        api: ResourcesApi, namespace: ChangedNamespace, request: Request, body: Body, dry_run: DryRun = False
    ) -> Response:
        """Create a resource from its YAML or JSON; 201, or 200 for a dry run."""
        require_type(request, YAML_TYPES | JSON_TYPES)
        manifest = parse_manifest(body, kind, namespace)
        note_change(request, f"create {kind} {manifest['metadata'].get('name')}")
        made = api.create(plural, manifest, dry_run=dry_run)
        response = json_response(made)
        response.status_code = 200 if dry_run else 201
        return response

    @router.patch(
        one,
        operation_id=f"patch_{plural}",
        response_class=Response,
        responses=documented(ShownResource),
        openapi_extra=request_body(PATCH, "application/merge-patch+json"),
    )
    def patch(
        api: ResourcesApi,
        visibility: Visibility,
        namespace: ChangedNamespace,
        name: Name,
        request: Request,
        body: Body,
        dry_run: DryRun = False,
    ) -> Response:
        """Change spec, labels or annotations by a JSON merge patch (RFC 7386)."""
        require_type(request, PATCH_TYPES)
        change = parse_patch(body, name)
        note_change(request, json.dumps(change))
        return json_response(visibility.seen(api.patch(plural, namespace, name, change, dry_run=dry_run)))

    @router.delete(one, operation_id=f"delete_{plural}", response_class=Response, status_code=204, responses=problems())
    def delete(api: ResourcesApi, namespace: ChangedNamespace, name: Name, dry_run: DryRun = False) -> Response:
        """Delete a resource and stop its pods. Stored bars and results are kept."""
        api.delete(plural, namespace, name, dry_run=dry_run)
        return Response(status_code=204)

    @_reading(router, f"{one}/events", f"events_of_{plural}", EventPage)
    def events(
        request: Request,
        api: ResourcesApi,
        visibility: Visibility,
        namespace: ReadNamespace,
        name: Name,
        limit: Limit = 1_000,
        cursor: CursorText = "",
    ) -> Response:
        """What has happened to a resource: the newest events, oldest first. `next` has those before them."""
        resource = api.get(plural, namespace, name)
        found, earlier = events_of(api, resource, decode_cursor(cursor, EventPlace), limit)
        if visibility.hides_outcome(resource):
            found = [without_message(event) for event in found]
        return json_answer(request, EventPage(found, encode_cursor(earlier)))

    @_reading(router, f"{one}/log", f"log_of_{plural}", ResourceLog)
    def log(
        request: Request,
        api: ResourcesApi,
        visibility: Visibility,
        namespace: ReadNamespace,
        name: Name,
        tail: Tail = 200,
    ) -> Response:
        """The last lines that each of the newest pods has logged."""
        resource = api.get(plural, namespace, name)
        visibility.require_log(resource)
        return json_answer(request, logs_of(api, resource, tail))

    return router


def _reading(
    router: APIRouter, path: str, operation: str, answer: type[msgspec.Struct]
) -> Callable[[Handler], Handler]:
    """Declares a route that reads, for GET and HEAD; ``operation`` is its name in OpenAPI."""

    def declare(handler: Handler) -> Handler:
        handler.__name__ = operation
        return reading(router, path, answer)(handler)

    return declare


def _namespaces(context: GatewayContext, chosen: str) -> list[str]:
    """The namespaces to list: that which was asked for, or all of the gateway's. Raises RequestDenied."""
    known = context.options.namespaces
    if chosen and known and chosen not in known:
        raise RequestDenied(f"namespace: got {chosen!r}, expected one of {', '.join(known)}")
    return [chosen] if chosen else known or [""]


ROUTERS = tuple(resource_routes(kind) for kind in KINDS)
