"""Replays and runs for the page, as JSON. Times in milliseconds UTC."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from tapedeck_gateway.context import deck_of
from tapedeck_gateway.routes.udf import NotFound
from tapedeck_gateway.store import runs

router = APIRouter(prefix="/api")
RunId = Annotated[str, Path(max_length=200)]
After = Annotated[int, Query(ge=-1)]
Limit = Annotated[int, Query(ge=1, le=runs.PAGE_MAX)]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


@router.get("/replays")
def all_replays(request: Request) -> Response:
    """The replays that have a topic, the newest first."""
    return _json(deck_of(request).replays.listed())


@router.get("/runs")
def all_runs(request: Request, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> Response:
    """The newest runs."""
    return _json(runs.runs(deck_of(request).pool, limit))


@router.get("/runs/{run_id}")
def one_run(request: Request, run_id: RunId) -> Response:
    """The run with its figures, its deepest drawdowns, and what each month and year came to."""
    return _json(_run(request, run_id) | runs.report(deck_of(request).pool, run_id))


@router.get("/runs/{run_id}/fills")
def fills(request: Request, run_id: RunId, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Fills with a seq above ``after``, in order."""
    _run(request, run_id)
    return _json(runs.fills(deck_of(request).pool, run_id, after, limit))


@router.get("/runs/{run_id}/trades")
def trades(request: Request, run_id: RunId, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Closed trades with a seq above ``after``, in order."""
    _run(request, run_id)
    return _json(runs.trades(deck_of(request).pool, run_id, after, limit))


@router.get("/runs/{run_id}/equity")
def equity(request: Request, run_id: RunId, points: Annotated[int, Query(ge=4, le=20_000)] = 2_000) -> Response:
    """The equity curve as [seq, ts, value, cash, change, drawdown, Sharpe], thinned to ``points`` with its extremes."""
    _run(request, run_id)
    return _json(runs.thinned(runs.equity(deck_of(request).pool, run_id, -1), points))


def _run(request: Request, run_id: str) -> dict[str, Any]:
    row = runs.run(deck_of(request).pool, run_id)
    if row is None:
        raise NotFound(f"run: got {run_id!r}, expected the id of a run in the store")
    return row
