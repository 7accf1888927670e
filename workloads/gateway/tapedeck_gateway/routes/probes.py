"""/healthz, /readyz, /status and /metrics, on the gateway's own port."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tapedeck_crds.report import Report
from tapedeck_gateway.context import Context, Database

router = APIRouter()


@router.get("/healthz")
async def healthz(context: Context) -> Response:
    return PlainTextResponse("ok") if context.reader.alive else PlainTextResponse("stuck", 503)


@router.get("/readyz")
async def readyz(pool: Database) -> Response:
    # The pool connects in the background, so it holds a connection once the database has answered.
    ready = pool.get_stats().get("pool_size", 0) > 0
    return PlainTextResponse("ok") if ready else PlainTextResponse("not ready", 503)


@router.get("/status")
async def status(context: Context) -> Response:
    report = Report(state="running", message=f"{context.open_sockets} sockets")
    return Response(report.model_dump_json(), media_type="application/json")


@router.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
