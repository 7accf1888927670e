"""/healthz /readyz /status /metrics on the gateway's own port, as every pod has them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tapedeck_crds.report import Report
from tapedeck_gateway.context import deck_of

router = APIRouter()


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok") if deck_of(request).tail.alive else PlainTextResponse("stuck", 503)


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    # Connections are made in the background; the pool has one once the database answered.
    ready = deck_of(request).pool.get_stats().get("pool_size", 0) > 0
    return PlainTextResponse("ok") if ready else PlainTextResponse("not ready", 503)


@router.get("/status")
async def status(request: Request) -> Response:
    report = Report(state="running", message=f"{deck_of(request).sockets} sockets")
    return Response(report.model_dump_json(), media_type="application/json")


@router.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
