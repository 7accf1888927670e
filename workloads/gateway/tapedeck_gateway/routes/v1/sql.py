"""Statements of users on the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request, Response

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.access.errors import RequestDenied
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.api_types.sql import SqlColumn, SqlRequest, SqlResult
from tapedeck_gateway.context import Database
from tapedeck_gateway.routes.v1.answers import chosen_format, json_answer, table_answer
from tapedeck_gateway.routes.v1.documentation import documented, request_body
from tapedeck_gateway.routes.v1.parameters import DEFAULT_ROWS, ROWS_MAX
from tapedeck_gateway.routes.v1.table_formats import TableColumn
from tapedeck_gateway.store.page import Page, Place
from tapedeck_gateway.store.statement import Kind, ResultColumn, StatementRows, run_statement

router = APIRouter(prefix=API, tags=["sql"])
_decode: Callable[[bytes | str], Any] = json_decoder(SqlRequest)
_ARROW: dict[Kind, pa.DataType] = {
    "integer": pa.int64(), "float": pa.float64(), "boolean": pa.bool_(), "timestamptz": pa.timestamp("us", "UTC"),
    "timestamp": pa.timestamp("us"), "date": pa.date32(), "text": pa.string(),
}  # fmt: skip
TRUNCATED_HEADER = "x-tapedeck-truncated"


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
    """The rows of a statement that reads (SELECT, WITH, VALUES, TABLE), of which at most `limit` and 16 MiB.

    The header `x-tapedeck-truncated` is there where rows were cut off, and names what they exceeded: rows or bytes.
    """
    _require_all_namespaces(request.state.grant)
    if not future:
        raise RequestDenied("future: expected 1, because a statement may read beyond the positions of replays")
    found = run_statement(pool, body.query, limit)
    format_ = chosen_format(request, body.format)
    headers: dict[str, str] = {TRUNCATED_HEADER: found.cut} if found.cut else {}
    if format_ == "json":
        described = [SqlColumn(column.name, column.type_name) for column in found.columns]
        return json_answer(request, SqlResult(described, found.rows, bool(found.cut)), headers=headers)
    if format_ == "csv":
        columns, types = _texts(found), [TableColumn(column.name, pa.string()) for column in found.columns]
    else:
        columns, types = _arrays(found), [TableColumn(column.name, _ARROW[column.kind]) for column in found.columns]

    def load(_place: Place | None, _limit: int) -> Page:
        return Page(columns, None)

    answer = table_answer(request, format_, "result", types, load)
    answer.headers.update(headers)
    return answer


def _require_all_namespaces(grant: Grant) -> None:
    """Raise RequestDenied for a token that is bound to a namespace: the tables hold those of all."""
    if grant.namespace:
        raise RequestDenied(
            f"token: got that of {grant.name!r}, which is bound to the namespace {grant.namespace!r}, expected one for "
            "all: a statement reads the rows of every namespace; use the other routes, or ask for <name>.control"
        )


def _texts(found: StatementRows) -> list[list[Any]]:
    """Columns as CSV has them: booleans, arrays and documents are JSON."""
    return [
        [_text(each) if isinstance(each, bool | list | dict) else each for each in column] for column in _values(found)
    ]


def _arrays(found: StatementRows) -> list[pa.Array]:
    """Columns of Arrow's types. Raises InvalidInput for what these cannot hold."""
    doubled = [name for name, count in Counter(column.name for column in found.columns).items() if count > 1]
    if doubled:
        raise InvalidInput(f"query: got the column {doubled[0]} twice, expected distinct names; name them with AS")
    return [_array(column, values) for column, values in zip(found.columns, _values(found), strict=True)]


def _values(found: StatementRows) -> list[list[Any]]:
    return [[row[number] for row in found.rows] for number in range(len(found.columns))]


def _array(column: ResultColumn, values: list[Any]) -> pa.Array:
    if column.kind in ("integer", "float", "boolean"):
        return pa.array(values, _ARROW[column.kind])
    texts = pa.array([None if value is None else _text(value) for value in values], pa.string())
    try:
        return texts.cast(_ARROW[column.kind])
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"query: column {column.name}: expected times in the years 1 to 9999, which a table can hold; cast it to "
            f"text where it has others ({str(error)[:80]})"
        ) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
