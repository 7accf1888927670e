"""What the stored bars of a run's market say of it: buy-and-hold beside the run, and the excursions of its trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Query, Request, Response

from tapedeck_crds.repeat import StoredRun
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.run_details import ExcursionPage, ExcursionRow, HoldCurve
from tapedeck_gateway.context import Database
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.documentation import reading
from tapedeck_gateway.routes.v1.runs import CURVE_MAX, Run
from tapedeck_gateway.routes.v1.table_requests import Rows
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.page import Page, Place
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.run_bars import RunBars, run_bars

router = APIRouter(prefix=API, tags=["runs"])
DRAWN_POINTS = 2_000
NO_BARS = "the store has no bars of the run's symbols in its range"
ALTERED = "the run's Replay plays bars that the store does not have: its source is no store, or it has a scenario"


@dataclass(frozen=True)
class VisibleRunBars:
    """The stored bars of a run, up to what may be seen; ``missing`` says why there are none."""

    run: runs.RunRow
    bars: RunBars | None
    missing: str
    until: int

    def hold(self, points: int) -> HoldCurve:
        """Buy-and-hold at so many points at most."""
        found = self.bars.hold(self.run["cash"], points, self.until) if self.bars else []
        shown_until = runs.seen_until(self.run, self.until)["shown_until"]
        return HoldCurve(self.run["run_id"], found, self.missing, shown_until)

    def excursions(self, place: Place | None, limit: int) -> Page:
        """Excursions of trades after a place."""
        return self.bars.excursions(self.until, place, limit) if self.bars else Page((), None)


def market_of_run(pool: Pool, limits: FutureLimits, run: runs.RunRow) -> VisibleRunBars:
    """The market of a run. Raises Unavailable."""
    until = min(limits.of_replay(run["replay_uid"]), limits.of_market(run["exchange"]))
    if not plays_stored_bars(runs.stored_run(pool, run)):
        return VisibleRunBars(run, None, ALTERED, until)
    found = run_bars(pool, run["run_id"], run["exchange"], run["symbols"], run["interval"])
    return VisibleRunBars(run, found, "" if found else NO_BARS, until)


def plays_stored_bars(stored: StoredRun) -> bool:
    """Whether a run traded bars of the store as they are: of a range, or of a Replay that alters nothing."""
    replay = (stored.origin or {}).get("replay")
    return replay is None or ("store" in (replay.get("source") or {}) and not replay.get("scenario"))


def _market(pool: Database, limits: Limits, run: Run) -> VisibleRunBars:
    return market_of_run(pool, limits, run)


Market: TypeAlias = Annotated[VisibleRunBars, Depends(_market)]


@reading(router, "/runs/{run_id}/buy-and-hold", HoldCurve)
def buy_and_hold(
    request: Request,
    market: Market,
    points: Annotated[int, Query(ge=runs.CURVE_MIN, le=CURVE_MAX, description="At most so many.")] = DRAWN_POINTS,
) -> Response:
    """The account of a run if it had bought equal parts of its symbols at their first closes, without costs."""
    return json_answer(request, market.hold(points))


@reading(router, "/runs/{run_id}/excursions", ExcursionPage, tables=True)
def run_excursions(asked: Rows, market: Market) -> Response:
    """How far each closed trade went against the run (MAE) and for it (MFE), by the stored bars."""

    def page_of(rows: list[ExcursionRow], following: str | None) -> ExcursionPage:
        return ExcursionPage(market.run["run_id"], rows, market.missing, following)

    return asked.answer("excursions", ExcursionRow, tuple[int], market.excursions, page_of)
