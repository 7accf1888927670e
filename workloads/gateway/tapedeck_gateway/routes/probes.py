"""/healthz, /readyz, /status and /metrics, on the gateway's own port."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from tapedeck_common.metrics import METRICS_CONTENT_TYPE, render_metrics
from tapedeck_crds.report import Report
from tapedeck_gateway.context import Context

router = APIRouter()


@router.get("/healthz")
async def healthz(context: Context) -> Response:
    return PlainTextResponse("ok") if context.reader.alive else PlainTextResponse("stuck", 503)


@router.get("/readyz")
async def readyz(context: Context) -> Response:
    """A line for each service; 503 until both have answered, and while neither does."""
    return PlainTextResponse(context.services.summary + "\n", 200 if context.services.ready else 503)


@router.get("/status")
async def status(context: Context) -> Response:
    report = Report(
        state="running", message="\n".join([f"{context.open_sockets.total()} sockets", context.services.summary])
    )
    return Response(report.model_dump_json(), media_type="application/json")


@router.get("/metrics")
def metrics() -> Response:
    return Response(render_metrics(), media_type=METRICS_CONTENT_TYPE)
