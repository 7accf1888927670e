"""/history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from tapedeck_gateway.context import Context
from tapedeck_gateway.history import MAX_BARS
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.udf.answers import FIRST_SECONDS, From, Resolution, Text, To, udf_router
from tapedeck_gateway.routes.udf.series import open_series

router = udf_router()


@router.get("/history")
def history(
    context: Context,
    limits: Limits,
    parts: Parts,
    symbol: Text,
    resolution: Resolution,
    to: To,
    from_: From = FIRST_SECONDS,
    countback: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Bars that open in [from, to), or the last ``countback`` that open before ``to``; up to the running bar.

    Where there are none, ``nextTime`` is the open of the last bar before.
    """
    length, source = open_series(context, limits, parts, context.symbols.resolve(symbol)).history(resolution)
    start, end = from_ * 1000, to * 1000
    if countback is not None:
        found = source.last(length, end, min(countback, MAX_BARS))
    else:
        found = source.between(length, start, end, MAX_BARS) if start < end else []
    if not found:
        before = source.last_open_before(length, min(start, end)) if countback is None else None
        return json_response({"s": "no_data"} | ({} if before is None else {"nextTime": before // 1000}), parts)
    return json_response(
        {
            "s": "ok",
            "t": [bar.ts // 1000 for bar in found],
            "o": [bar.open for bar in found],
            "h": [bar.high for bar in found],
            "l": [bar.low for bar in found],
            "c": [bar.close for bar in found],
            "v": [bar.volume for bar in found],
        },
        parts,
    )
