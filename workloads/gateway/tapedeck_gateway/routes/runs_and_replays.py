"""Replays and backtest runs as JSON. Times are milliseconds UTC."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Response

from tapedeck_crds.errors import NotFound
from tapedeck_gateway.context import Context, Database
from tapedeck_gateway.future import NOTHING, FutureLimits
from tapedeck_gateway.partial_response import PartialResponse, Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.store import runs

router = APIRouter(prefix="/api")
After: TypeAlias = Annotated[int, Query(ge=-1, le=2**63 - 1)]
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
def all_runs(
    pool: Database, limits: Limits, parts: Parts, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Response:
    """The newest runs."""
    found = [runs.seen_until(run, _limit_of(limits, parts, run)) for run in runs.runs(pool, limit)]
    return json_response(found, parts)


def _limit_of(limits: FutureLimits, parts: PartialResponse, run: runs.RunRow) -> int:
    """What may be seen of a run in a list: nothing that its replay decides while its position is unknown."""
    known = parts.load("broker", lambda: [limits.of_replay(run["replay_uid"])])
    return known[0] if known else NOTHING


@router.get("/runs/{run_id}")
def one_run(pool: Database, limits: Limits, run: Run) -> Response:
    """The run with its metrics, its deepest drawdowns, results by month and year, open positions and analyses."""
    return json_response(runs.seen_until(run | runs.report(pool, run["run_id"]), limits.of_replay(run["replay_uid"])))


@router.get("/runs/{run_id}/fills")
def fills(pool: Database, limits: Limits, run: Run, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Fills with a seq above ``after``, in order."""
    return json_response(runs.fills(pool, run["run_id"], after, limit, limits.of_replay(run["replay_uid"])))


@router.get("/runs/{run_id}/trades")
def trades(pool: Database, limits: Limits, run: Run, after: After = -1, limit: Limit = runs.PAGE_MAX) -> Response:
    """Closed trades with a seq above ``after``, in order."""
    return json_response(runs.trades(pool, run["run_id"], after, limit, limits.of_replay(run["replay_uid"])))


@router.get("/runs/{run_id}/equity")
def equity(
    pool: Database,
    limits: Limits,
    run: Run,
    points: Annotated[int, Query(ge=runs.CURVE_MIN, le=20_000)] = 2_000,
) -> Response:
    """The equity curve as [seq, ts, value, cash, change, drawdown, Sharpe], thinned to ``points``.

    The thinned curve keeps the first and the last point, and the extremes of value and drawdown of each stretch.
    """
    return json_response(runs.equity(pool, run["run_id"], points, -1, limits.of_replay(run["replay_uid"])))
