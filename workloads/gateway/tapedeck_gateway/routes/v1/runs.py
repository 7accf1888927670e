"""Runs of Backtests: lists, results in pages or as tables, and comparisons."""

from __future__ import annotations

from functools import partial
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.runs import (
    ComparedFigure,
    EquityPage,
    EquityRow,
    RunComparison,
    RunFillPage,
    RunFillRow,
    RunMetrics,
    RunPage,
    RunReport,
    RunSummary,
    RunTradePage,
    RunTradeRow,
)
from tapedeck_gateway.context import Database
from tapedeck_gateway.future import NOTHING, FutureLimits
from tapedeck_gateway.partial_response import PartialResponse, Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.parameters import CursorText
from tapedeck_gateway.routes.v1.table_requests import Rows
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.run_pages import RunRows

router = APIRouter(prefix=API, tags=["runs"])
Text: TypeAlias = Annotated[str, Query(max_length=253)]
COMPARED_MAX = 20
CURVE_MAX = 20_000
CurvePoints: TypeAlias = Annotated[
    int | None,
    Query(
        ge=runs.CURVE_MIN, le=CURVE_MAX, description="At most so many points in one page: the first, the last, and the "
        "extremes of value and drawdown of each stretch between them."
    ),
]  # fmt: skip


def run_of(pool: Pool, run_id: str) -> runs.RunRow:
    """The run of this id. Raises NotFound, Unavailable."""
    row = runs.run(pool, run_id)
    if row is None:
        raise NotFound(f"run_id: got {run_id[:80]!r}, expected the id of a stored run")
    return row


def _stored_run(pool: Database, run_id: Annotated[str, Path(max_length=200)]) -> runs.RunRow:
    return run_of(pool, run_id)


Run: TypeAlias = Annotated[runs.RunRow, Depends(_stored_run)]


def _results(pool: Database, limits: Limits, run: Run) -> RunRows:
    return RunRows(pool, run["run_id"], limits.of_replay(run["replay_uid"]))


Results: TypeAlias = Annotated[RunRows, Depends(_results)]


@reading(router, "/runs", RunPage)
def run_list(
    request: Request,
    pool: Database,
    limits: Limits,
    parts: Parts,
    name: Text = "",
    namespace: Text = "",
    strategy: Text = "",
    sweep: Annotated[bool | None, Query(description="1: sweeps alone, 0: single runs alone.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: CursorText = "",
) -> Response:
    """Runs, the newest first."""
    chosen = {"name": name, "namespace": namespace, "strategy": strategy}
    found, following = runs.run_page(pool, chosen, sweep, decode_cursor(cursor, tuple[int, str]), limit)
    shown = [_summary(_seen_in_list(limits, parts, run)) for run in found]
    return json_answer(request, RunPage(shown, encode_cursor(following)), headers=parts.headers)


@reading(router, "/runs/compare", RunComparison)
def compare_runs(
    request: Request,
    pool: Database,
    limits: Limits,
    run: Annotated[list[str], Query(min_length=2, max_length=COMPARED_MAX, description="The ids of two runs or more.")],
) -> Response:
    """Runs side by side: the params that differ, and all figures."""
    found = [_summary(runs.seen_until(row, limits.of_replay(row["replay_uid"]))) for row in _all(pool, run)]
    names = sorted({name for each in found for name in each.params})
    params = [ComparedFigure(name, [each.params.get(name) for each in found]) for name in names]
    figures = sorted({name for each in found for name in each.metrics or {}})
    metrics = [ComparedFigure(name, [(each.metrics or {}).get(name) for each in found]) for name in figures]
    differing = [each for each in params if len({repr(value) for value in each.values}) > 1]
    return json_answer(request, RunComparison(found, differing, metrics))


@reading(router, "/runs/{run_id}", RunReport)
def run_report(request: Request, pool: Database, limits: Limits, run: Run) -> Response:
    """A run with its metrics, deepest drawdowns, results by month and year, open positions and analyses."""
    row = runs.seen_until(run | runs.report(pool, run["run_id"]), limits.of_replay(run["replay_uid"]))
    return json_answer(request, RunReport(**row))


@reading(router, "/runs/{run_id}/metrics", RunMetrics)
def run_metrics(request: Request, limits: Limits, run: Run) -> Response:
    """The figures of a run; null before its end."""
    row = runs.seen_until(run, limits.of_replay(run["replay_uid"]))
    return json_answer(request, RunMetrics(row["run_id"], row["metrics"], row["undefined"], row["shown_until"]))


@reading(router, "/runs/{run_id}/equity", EquityPage, tables=True)
def run_equity(asked: Rows, results: Results, points: CurvePoints = None) -> Response:
    """The equity curve of a run: a point for each bar, or at most ``points`` for drawing."""
    page_of = partial(EquityPage, results.run_id)
    load = results.equity if points is None else partial(results.curve, points)
    return asked.answer("equity", EquityRow, tuple[int], load, page_of)


@reading(router, "/runs/{run_id}/trades", RunTradePage, tables=True)
def run_trades(asked: Rows, results: Results) -> Response:
    """The closed trades of a run."""
    page_of = partial(RunTradePage, results.run_id)
    return asked.answer("trades", RunTradeRow, tuple[int], results.trades, page_of)


@reading(router, "/runs/{run_id}/fills", RunFillPage, tables=True)
def run_fills(asked: Rows, results: Results) -> Response:
    """The fills of a run's orders."""
    page_of = partial(RunFillPage, results.run_id)
    return asked.answer("fills", RunFillRow, tuple[int], results.fills, page_of)


def _all(pool: Pool, run_ids: list[str]) -> list[runs.RunRow]:
    if len(set(run_ids)) < len(run_ids):
        raise InvalidInput(f"run: got {', '.join(run_ids)[:80]!r}, expected each run once")
    return [run_of(pool, run_id) for run_id in run_ids]


def _summary(row: runs.RunRow) -> RunSummary:
    return RunSummary(**row)


def _seen_in_list(limits: FutureLimits, parts: PartialResponse, run: runs.RunRow) -> runs.RunRow:
    """What may be seen of a run in a list: nothing that its replay decides while its position is unknown."""
    known = parts.load("broker", lambda: [limits.of_replay(run["replay_uid"])])
    return runs.seen_until(run, known[0] if known else NOTHING)
