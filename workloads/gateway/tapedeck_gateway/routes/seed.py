"""GET /api/getBars, as the designs that Tapedeck grew from have it. New clients use /api/v1/bars."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Protocol, TypeAlias

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.json import Json
from tapedeck_gateway.context import Context
from tapedeck_gateway.history import MAX_BARS
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response, parameter_problem
from tapedeck_gateway.routes.udf.series import open_series
from tapedeck_gateway.topics.control_records import LATEST


class SeedRoute(APIRoute):
    """A route that answers a wrong parameter as it answers other errors."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with a wrong parameter as an answer."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return json_response({"error": parameter_problem(error)})

        return answer


router = APIRouter(prefix="/api", route_class=SeedRoute)
DEFAULT_BARS = 500
Name: TypeAlias = Annotated[str, Query(max_length=255)]
Time: TypeAlias = Annotated[int, Query(ge=0, le=LATEST, description="Milliseconds UTC; seconds with mls=0.")]


class _ShownBar(Protocol):
    @property
    def ts(self) -> int: ...
    @property
    def open(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...
    @property
    def volume(self) -> float: ...


def seed_bar(bar: _ShownBar, mls: bool) -> Json:
    """A bar in the form of the seed designs; ``mls``: its time in milliseconds instead of seconds."""
    return {
        "time": bar.ts if mls else bar.ts // 1000,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
    }


@router.get("/getBars")
def get_bars(
    context: Context,
    limits: Limits,
    parts: Parts,
    symbol: Name = "",
    exchange: Name = "",
    base_id: Name = "",
    quote_id: Name = "",
    interval: Annotated[str, Query(max_length=20)] = "1m",
    from_: Annotated[Time, Query(alias="from")] = 0,
    to: Time = LATEST,
    limit: Annotated[int, Query(ge=1, le=MAX_BARS)] = DEFAULT_BARS,
    mls: bool = True,
) -> Response:
    """The last ``limit`` closed bars with open in [from, to), as {bars}; or {error}.

    The series is ``symbol``, or ``exchange`` with ``base_id`` and ``quote_id``.
    """
    unit = 1 if mls else 1000
    try:
        series = open_series(
            context, limits, parts, context.symbols.resolve(symbol or f"{exchange}:{base_id}/{quote_id}")
        )
        length = BAR_LENGTHS.get(interval)
        if length is None:
            raise InvalidInput(f"interval: got {interval!r}, expected one of {', '.join(BAR_LENGTHS)}")
        found = series.bars_of(length).between(length, from_ * unit, min(to * unit, LATEST), limit + 1)
    except TapedeckError as error:
        return json_response({"error": str(error)}, parts)
    return json_response({"bars": [seed_bar(bar, mls) for bar in found if bar.closed][-limit:]}, parts)
