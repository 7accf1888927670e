"""The report of a run as one file of HTML that opens without a server: the page's components with the data inside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Response

from tapedeck_crds.errors import Unavailable
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.run_details import ExcursionRow, RunDocument
from tapedeck_gateway.api_types.runs import EquityRow, RunReport, RunTradeRow
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.page import FOLDER
from tapedeck_gateway.routes.v1.documentation import Documented, problems
from tapedeck_gateway.routes.v1.parameters import now_ms
from tapedeck_gateway.routes.v1.run_inputs import inputs_of_run
from tapedeck_gateway.routes.v1.run_market import DRAWN_POINTS, market_of_run
from tapedeck_gateway.routes.v1.runs import Run
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.page import Page
from tapedeck_gateway.store.run_pages import RunRows

router = APIRouter(prefix=API, tags=["runs"])
TEMPLATE = FOLDER / "report.html"
PLACE = b"__RUN_DOCUMENT__"
TRADES_MAX = 20_000
_HTML = "text/html"
T = TypeVar("T", bound=msgspec.Struct)


_FILE = {"description": "The report as one file of HTML.", "content": {_HTML: {"schema": {"type": "string"}}}}
_ANSWERS: Documented = {200: _FILE, **problems()}


@router.head("/runs/{run_id}/report.html", response_class=Response, include_in_schema=False)
@router.get("/runs/{run_id}/report.html", operation_id="report_file", response_class=Response, responses=_ANSWERS)
def report_file(context: Context, limits: Limits, run: Run) -> Response:
    """The report of a run as one file that opens without a server; it has the first 20,000 trades."""
    body = filled(template(TEMPLATE), document_of(context, limits, run))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", run["name"])
    headers = {"content-disposition": f'attachment; filename="{name}.html"'}
    return Response(body, 200, headers, f"{_HTML}; charset=utf-8")


def document_of(context: GatewayContext, limits: FutureLimits, run: runs.RunRow) -> RunDocument:
    """All that the report of a run shows. Raises Unavailable."""
    until = limits.of_replay(run["replay_uid"])
    rows, market = RunRows(context.pool, run["run_id"], until), market_of_run(context.pool, limits, run)
    trades = rows.trades(None, TRADES_MAX)
    summary = runs.last_seqs(context.pool, run["run_id"], until)
    found = _rows(RunTradeRow, trades)
    return RunDocument(
        now_ms(),
        RunReport(**runs.seen_until(run | runs.report(context.pool, run["run_id"]), until)),
        inputs_of_run(context, limits, run),
        _rows(EquityRow, rows.curve(DRAWN_POINTS, None, DRAWN_POINTS)),
        market.hold(DRAWN_POINTS),
        found,
        _rows(ExcursionRow, market.excursions(None, TRADES_MAX)),
        market.missing,
        summary[2] - len(found),
    )


def _rows(of: type[T], page: Page) -> list[T]:
    return [of(*values) for values in zip(*page.columns, strict=True)] if len(page.columns) else []


def template(path: Path) -> bytes:
    """The built file without data. Raises Unavailable where the page is not built."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Unavailable("report: the page is not built; run `make page`, then restart the gateway") from None


def filled(template: bytes, document: RunDocument) -> bytes:
    """The template with the document as JSON in its script element of data, which no text of the document can end."""
    before, found, after = template.partition(PLACE)
    if not found or PLACE in after:
        raise ValueError(f"template: got {template.count(PLACE)} places for the document, expected one")
    data = msgspec.json.encode(document)
    for character, escape in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        data = data.replace(character, escape)
    return before + data + after
