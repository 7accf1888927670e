"""The form of UDF's answers: status 200, an error as {"s": "error", "errmsg"}; and the parameters of its requests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from tapedeck_crds.errors import TapedeckError
from tapedeck_gateway.access.problems import message_response
from tapedeck_gateway.routes.responses import UNEXPECTED, log_unavailable, log_unexpected, parameter_problem

FIRST_SECONDS, LAST_SECONDS = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999
Text: TypeAlias = Annotated[str, Query(max_length=200)]
Resolution: TypeAlias = Annotated[str, Query(max_length=20)]
From: TypeAlias = Annotated[int, Query(alias="from", ge=FIRST_SECONDS, le=LAST_SECONDS)]
To: TypeAlias = Annotated[int, Query(ge=FIRST_SECONDS, le=LAST_SECONDS)]


class UdfRoute(APIRoute):
    """A route whose every answer has the status 200: clients of UDF read the error in the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with each error as an answer."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                said = parameter_problem(error)
            except TapedeckError as error:
                log_unavailable(request, error)
                said = str(error)
            except Exception as error:
                log_unexpected(request.url.path, error)
                said = UNEXPECTED
            return message_response(request.url.path, said, 200)

        return answer


def udf_router() -> APIRouter:
    """A router of such routes."""
    return APIRouter(route_class=UdfRoute)
