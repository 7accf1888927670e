"""What the report of a run adds to its results: inputs, buy-and-hold, excursions of trades, and all of it together."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tapedeck_gateway.api_types.fields import Ms, Next
from tapedeck_gateway.api_types.runs import EquityRow, RunReport, RunTradeRow, ShownUntil


class RunInputs(msgspec.Struct, frozen=True):
    """The inputs of a run, with which it can be repeated."""

    run_id: str
    spec: Annotated[dict[str, Any], msgspec.Meta(description="The Backtest's spec.")]
    yaml: Annotated[str, msgspec.Meta(description="The Backtest, and the Replay that it traded, for `tapedeck apply`.")]
    data: Annotated[str, msgspec.Meta(description="The fingerprint of the bars; empty where the run has not begun.")]
    images: Annotated[dict[str, str], msgspec.Meta(description="The images by workload.")]
    version: str
    path: Annotated[str, msgspec.Meta(description="engine, bar by bar, or vectorised; empty for a sweep.")]
    seed: Annotated[int | None, msgspec.Meta(description="That of a synthetic market.")]
    obstacle: Annotated[str, msgspec.Meta(description="Why the run cannot be repeated; empty if it can.")]
    decimals: Annotated[dict[str, int], msgspec.Meta(description="The decimals of prices, by symbol.")]
    defaults: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="The params that the run was not given, with the defaults that it took; null where they are "
            "not known: a strategy that is not built in, or a run of another version."
        ),
    ] = None


class HoldPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """[event time, value of the account if it had bought equal parts of all symbols at their first close]."""

    ts: Ms
    value: float


class HoldCurve(msgspec.Struct, frozen=True):
    """Buy-and-hold beside a run, without costs, at the event times of its thinned equity curve."""

    run_id: str
    points: list[HoldPoint]
    missing: Annotated[str, msgspec.Meta(description="Why there are no points; empty where there are.")]
    shown_until: ShownUntil


class ExcursionRow(msgspec.Struct, frozen=True, gc=False):
    """How far a trade went against the run and for it, by the bars that it was held, in percent of its entry price.

    These are the bars from that of the entry to the one before the exit, and the prices of both.
    """

    seq: int
    lowest: float
    highest: float
    adverse_percent: Annotated[float | None, msgspec.Meta(description="0 or below: MAE.")]
    favourable_percent: Annotated[float | None, msgspec.Meta(description="0 or above: MFE.")]


class ExcursionPage(msgspec.Struct, frozen=True):
    """Excursions of closed trades, in order."""

    run_id: str
    excursions: list[ExcursionRow]
    missing: Annotated[str, msgspec.Meta(description="Why there are none; empty where there are.")]
    next: Next


class RunDocument(msgspec.Struct, frozen=True):
    """All that the report of a run shows, as the file of a report has it. ``made_at`` is its time."""

    made_at: Ms
    report: RunReport
    inputs: RunInputs
    equity: list[EquityRow]
    hold: HoldCurve
    trades: list[RunTradeRow]
    excursions: list[ExcursionRow]
    excursions_missing: str
    trades_left_out: Annotated[int, msgspec.Meta(description="Trades after the last one here.")]


class RunRepeated(msgspec.Struct, frozen=True):
    """The resources that repeat a run: its Backtest, and the Replay that this trades."""

    namespace: str
    backtest: str
    uid: Annotated[str, msgspec.Meta(description="The id of the new run.")]
    replay: Annotated[str, msgspec.Meta(description="The name of the Replay; empty where the run needs none.")]
