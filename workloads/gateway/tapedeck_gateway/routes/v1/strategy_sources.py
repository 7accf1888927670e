"""Sources of strategies, such as a class of a notebook's cell, for Backtests that name their ConfigMap."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tapedeck_gateway.api_types.resources import StoredSource
from tapedeck_gateway.resources.strategy_sources import (
    FILE,
    StrategySource,
    delete_source,
    parse_strategy_source,
    store_source,
)
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.v1.documentation import documented, problems, request_body
from tapedeck_gateway.routes.v1.resource_access import (
    JSON_TYPES,
    Body,
    ChangedNamespace,
    Name,
    ResourcesApi,
    note_change,
    require_type,
)

router = APIRouter(prefix="/api/v1/namespaces/{namespace}/strategies", tags=["strategies"])


@router.post(
    "",
    operation_id="store_strategy_source",
    response_class=Response,
    status_code=201,
    responses=documented(StoredSource, status=201),
    openapi_extra=request_body(StrategySource.__name__, "application/json"),
)
def store(api: ResourcesApi, namespace: ChangedNamespace, request: Request, body: Body) -> Response:
    """Store the source of a strategy under a name, in place of one that was stored under it."""
    require_type(request, JSON_TYPES)
    given = parse_strategy_source(body)
    note_change(request, f"strategy {given.name}: {len(given.source)} characters")
    store_source(api, namespace, given)
    response = json_response(StoredSource(namespace, given.name, FILE))
    response.status_code = 201
    return response


@router.delete(
    "/{name}",
    operation_id="delete_strategy_source",
    response_class=Response,
    status_code=204,
    responses=problems(),
)
def delete(api: ResourcesApi, namespace: ChangedNamespace, name: Name) -> Response:
    """Delete a stored source. Other ConfigMaps stay."""
    delete_source(api, namespace, name)
    return Response(status_code=204)
