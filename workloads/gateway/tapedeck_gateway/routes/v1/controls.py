"""The controls of a Replay: play, pause, seek, step, speed, loop, until. They patch its spec."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from tapedeck_crds.kinds import Replay
from tapedeck_gateway.api_types.resources import ReplayControlled
from tapedeck_gateway.resources.controls import ReplayControls, parse_controls, patch_of
from tapedeck_gateway.resources.steps import patch_after_step
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.v1.documentation import documented, request_body
from tapedeck_gateway.routes.v1.resource_access import (
    JSON_TYPES,
    Body,
    ChangedNamespace,
    Name,
    ResourcesApi,
    note_change,
    require_type,
)

router = APIRouter(prefix="/api/v1", tags=[Replay.plural])


@router.post(
    "/namespaces/{namespace}/replays/{name}/controls",
    operation_id="control_replay",
    response_class=Response,
    responses=documented(ReplayControlled),
    openapi_extra=request_body(ReplayControls.__name__, "application/json"),
)
async def control(api: ResourcesApi, namespace: ChangedNamespace, name: Name, request: Request, body: Body) -> Response:
    """Change the controls of a Replay; its status follows as soon as the pods have applied them.

    Steps are executed one after another: one that comes before the last was executed waits for that.
    """
    require_type(request, JSON_TYPES)
    controls = parse_controls(body)
    note_change(request, controls.model_dump_json(exclude_unset=True))
    patch = patch_of(controls)
    if controls.step is None:
        patched = await run_in_threadpool(api.patch, Replay.plural, namespace, name, patch)
    else:
        patched = await patch_after_step(api, namespace, name, patch)
    return json_response(ReplayControlled(patched["metadata"]["generation"], patched.get("status") or {}))
