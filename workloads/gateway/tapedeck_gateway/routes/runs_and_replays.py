"""Replays and backtest runs as JSON. Times are milliseconds UTC."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Response

from tapedeck_crds.errors import NotFound
from tapedeck_gateway.context import Context, Database
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.store import runs

router = APIRouter(prefix="/api")
After: TypeAlias = Annotated[int, Query(ge=-1)]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=runs.PAGE_MAX)]


def _stored_run(pool: Database, run_id: Annotated[str, Path(max_length=200)]) -> runs.RunRow:
    row = runs.run(pool, run_id)
    if row is None:
        raise NotFound(f"run: got {run_id!r}, expected the id of a stored run")
    return row


Run: TypeAlias = Annotated[runs.RunRow, Depends(_stored_run)]


@router.get("/replays")
def replays(context: Context) -> Response:
    """The replays that have started, the newest first."""
    return json_response(context.replays.load())


@router.get("/runs")
def all_runs(pool: Database, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> Response:
    """The newest runs."""
    return json_response(runs.runs(pool, limit))


@router.get("/runs/{run_id}")
def one_run(pool: Database, run: Run) -> Response:
    """The run with its metrics, its deepest drawdowns, results by month and year, open positions and analyses."""
    return json_response(run | runs.report(pool, run["run_id"]))


@router.get("/runs/{run_id}/fills")
def fills(pool: Database, run: Run, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Fills with a seq above ``after``, in order."""
    return json_response(runs.fills(pool, run["run_id"], after, limit))


@router.get("/runs/{run_id}/trades")
def trades(pool: Database, run: Run, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Closed trades with a seq above ``after``, in order."""
    return json_response(runs.trades(pool, run["run_id"], after, limit))


@router.get("/runs/{run_id}/equity")
def equity(pool: Database, run: Run, points: Annotated[int, Query(ge=runs.CURVE_MIN, le=20_000)] = 2_000) -> Response:
    """The equity curve as [seq, ts, value, cash, change, drawdown, Sharpe], thinned to ``points``.

    The thinned curve keeps the first and the last point, and the extremes of value and drawdown of each stretch.
    """
    return json_response(runs.equity(pool, run["run_id"], points))
