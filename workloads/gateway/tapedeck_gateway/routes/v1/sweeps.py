"""Sweeps: trials, matrices of two params, windows of a walk-forward; and strategies."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query, Request, Response

from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.runs import StrategyList, SweepMatrix, TrialPage, WindowList
from tapedeck_gateway.context import Database
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import DEFAULT_ROWS, CursorText, Limit
from tapedeck_gateway.routes.v1.runs import Run
from tapedeck_gateway.store import sweeps
from tapedeck_gateway.store.runs import RunRow, seen_until

router = APIRouter(prefix=API, tags=["sweeps"])
Param: TypeAlias = Annotated[str, Query(min_length=1, max_length=100, description="The name of a param.")]


@reading(router, "/sweeps/{run_id}/trials", TrialPage)
def sweep_trials(
    request: Request, pool: Database, limits: Limits, run: Run, limit: Limit = DEFAULT_ROWS, cursor: CursorText = ""
) -> Response:
    """The trials of a sweep, by window and number."""
    after = decode_cursor(cursor, tuple[int, int])
    found = sweeps.trials(pool, run["run_id"], after, limit) if _is_seen(limits, run) else []
    following = (found[-1].window, found[-1].trial) if len(found) == limit else None
    return json_answer(request, TrialPage(run["run_id"], found, encode_cursor(following)))


@reading(router, "/sweeps/{run_id}/matrix", SweepMatrix)
def sweep_matrix(
    request: Request,
    pool: Database,
    limits: Limits,
    run: Run,
    x: Param,
    y: Param,
    metric: Annotated[str, Query(min_length=1, max_length=100, description="A metric, or objective.")] = "objective",
    window: Annotated[int, Query(ge=0, le=1_000_000, description="The window of a walk-forward.")] = 0,
) -> Response:
    """A metric of the trials by the values of two params, as a heat map has it."""
    if not _is_seen(limits, run):
        return json_answer(request, SweepMatrix(run["run_id"], x, y, metric, [], [], [], []))
    return json_answer(request, sweeps.matrix(pool, run["run_id"], x, y, metric, window))


@reading(router, "/runs/{run_id}/windows", WindowList)
def walk_forward_windows(request: Request, pool: Database, limits: Limits, run: Run) -> Response:
    """The windows of a walk-forward: the best trial in-sample, and what it traded out-of-sample."""
    found = sweeps.windows(pool, run["run_id"]) if _is_seen(limits, run) else []
    return json_answer(request, WindowList(run["run_id"], found))


@reading(router, "/strategies", StrategyList)
def strategies(request: Request, pool: Database) -> Response:
    """The built-in strategies with their defaults, and those that have run with the params that runs gave them."""
    return json_answer(request, StrategyList(sweeps.strategies(pool)))


def _is_seen(limits: FutureLimits, run: RunRow) -> bool:
    """Whether the outcome of a run may be seen."""
    return seen_until(run, limits.of_replay(run["replay_uid"]))["shown_until"] is None
