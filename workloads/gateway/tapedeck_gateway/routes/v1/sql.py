"""Statements of users on the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request, Response

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.access.errors import RequestDenied
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.sql import SqlColumn, SqlRequest, SqlResult
from tapedeck_gateway.context import Database
from tapedeck_gateway.routes.v1.answers import chosen_format, json_answer, table_answer
from tapedeck_gateway.routes.v1.documentation import documented, request_body
from tapedeck_gateway.routes.v1.parameters import DEFAULT_ROWS, ROWS_MAX
from tapedeck_gateway.routes.v1.table_formats import TableColumn
from tapedeck_gateway.store.page import Page, Place
from tapedeck_gateway.store.statement import StatementRows, run_statement

router = APIRouter(prefix=API, tags=["sql"])
_decode: Callable[[bytes | str], Any] = json_decoder(SqlRequest)
_ARROW = {"integer": pa.int64(), "float": pa.float64(), "boolean": pa.bool_(), "text": pa.string()}


async def _request_body(request: Request) -> SqlRequest:
    try:
        body: SqlRequest = _decode(await request.body())
    except msgspec.DecodeError as error:
        raise InvalidInput(f"body: {error}") from None
    return body


@router.post(
    "/sql",
    response_class=Response,
    responses=documented(SqlResult, tables=True),
    operation_id="sql",
    openapi_extra=request_body(SqlRequest.__name__, "application/json"),
)
def sql(
    request: Request,
    pool: Database,
    body: Annotated[SqlRequest, Depends(_request_body)],
    future: Annotated[
        bool, Query(description="1: required, since a statement sees beyond replays' positions.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX, description="Rows of the answer.")] = DEFAULT_ROWS,
) -> Response:
    """The rows of a statement that reads (SELECT, WITH, VALUES, TABLE), of which at most `limit`."""
    if not future:
        raise RequestDenied("future: expected 1, because a statement may read beyond the positions of replays")
    found = run_statement(pool, body.query, limit)
    format_ = chosen_format(request, body.format)
    if format_ == "json":
        columns = [SqlColumn(column.name, column.type_name) for column in found.columns]
        return json_answer(request, SqlResult(columns, found.rows, found.truncated))
    types = [TableColumn(column.name, _ARROW[column.kind]) for column in found.columns]

    def load(_place: Place | None, _limit: int) -> Page:
        return Page(_columns(found), None)

    return table_answer(request, format_, "result", types, load)


def _columns(found: StatementRows) -> list[list[Any]]:
    """Columns for a table: other types are texts."""
    kinds = [column.kind for column in found.columns]
    return [
        [None if value is None else _text(value) if kind == "text" else value for value in values]
        for kind, values in zip(kinds, zip(*found.rows, strict=True), strict=False)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
