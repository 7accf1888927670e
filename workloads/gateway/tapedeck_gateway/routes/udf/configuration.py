"""/config and /time. Neither needs a service."""

from __future__ import annotations

import time
from typing import get_args

from fastapi import Response
from fastapi.responses import PlainTextResponse

from tapedeck_gateway.charts.instruments import InstrumentType
from tapedeck_gateway.charts.resolutions import CHART_RESOLUTIONS
from tapedeck_gateway.context import Context
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.udf.answers import udf_router

router = udf_router()


@router.get("/config")
def config(context: Context, parts: Parts) -> Response:
    """What the datafeed supports; without the exchanges of a service that has not answered."""
    exchanges = context.symbols.exchanges()
    parts.lack([*context.services.silent, *context.symbols.unknown])
    return json_response(
        {
            "supports_search": True,
            "supports_group_request": False,
            "supports_marks": True,
            "supports_timescale_marks": True,
            "supports_time": True,
            "supported_resolutions": list(CHART_RESOLUTIONS),
            "exchanges": [{"value": "", "name": "All", "desc": "All exchanges"}]
            + [{"value": name, "name": name, "desc": name} for name in exchanges],
            "symbols_types": [{"name": "all", "value": ""}]
            + [{"name": name, "value": name} for name in get_args(InstrumentType)],
        },
        parts,
    )


@router.get("/time", response_class=PlainTextResponse)
def server_time() -> str:
    return str(int(time.time()))
