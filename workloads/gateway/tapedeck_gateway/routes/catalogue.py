"""What can be charted: symbols with their stored series, the latest bar of each series, and resolutions."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query, Response

from tapedeck_gateway.charts.resolutions import CHART_RESOLUTIONS
from tapedeck_gateway.context import Database
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.recorded import recorded_markets
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.store import catalogue

router = APIRouter(prefix="/api")
Exchange: TypeAlias = Annotated[str, Query(max_length=255)]
Count: TypeAlias = Annotated[int, Query(ge=1, le=catalogue.SERIES_MAX)]


@router.get("/symbols")
def symbols(
    pool: Database, limits: Limits, parts: Parts, exchange: Exchange = "", limit: Count = catalogue.SERIES_MAX
) -> Response:
    """The symbols of one exchange or of all, by name; each with its series: interval, first and last open."""
    return json_response(catalogue.symbols(pool, recorded_markets(limits, parts, exchange), exchange, limit), parts)


@router.get("/latest")
def latest(
    pool: Database, limits: Limits, parts: Parts, exchange: Exchange = "", limit: Count = catalogue.SERIES_MAX
) -> Response:
    """The latest bar of each series of one exchange or of all, by name."""
    return json_response(catalogue.latest(pool, recorded_markets(limits, parts, exchange), exchange, limit), parts)


@router.get("/resolutions")
async def resolutions() -> Response:
    """The resolutions of charts, the finest first: UDF's name, the interval, and the length in milliseconds.

    Bars open at ``origin_ms`` plus whole lengths; those of a month on its first day, whatever its length.
    """
    return json_response(
        [
            {
                "resolution": resolution,
                "interval": length.interval,
                "width_ms": length.ms,
                "origin_ms": length.origin,
            }
            for resolution, length in CHART_RESOLUTIONS.items()
        ]
    )
