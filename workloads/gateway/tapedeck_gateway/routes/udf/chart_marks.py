"""/marks and /timescale_marks: what happened to a run, a market and a replay, up to the replay's position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import Depends, Response

from tapedeck_crds.errors import NotFound
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.chart_marks import BarMark, TimescaleMark, udf_marks, udf_timescale_marks
from tapedeck_gateway.charts.resolutions import resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.partial_response import Parts
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.udf.answers import FIRST_SECONDS, From, Resolution, Text, To, udf_router
from tapedeck_gateway.store import marked_rows
from tapedeck_gateway.topics.control_records import scenario_windows

router = udf_router()


@dataclass(frozen=True)
class _Range:
    """What a chart asks marks for: those of ``symbol`` in [start, end), known at ``until``, on bars of a length."""

    symbol: ChartSymbol
    length: BarLength
    start: int
    end: int
    until: int

    def contains(self, ts: int) -> bool:
        return self.start <= ts < self.end and ts <= self.until


def _range(
    context: Context, limits: Limits, symbol: Text, resolution: Resolution, to: To, from_: From = FIRST_SECONDS
) -> _Range:
    """The bars that open in [from, to], whole: a chart gives the opens of its first and its last bar."""
    length = resolution_length(resolution)
    found = context.symbols.resolve(symbol)
    until = limits.of_replay(found.replay) if found.replay else limits.of_market(found.exchange)
    return _Range(found, length, length.open_of(from_ * 1000), length.close_of(to * 1000), until)


Asked: TypeAlias = Annotated[_Range, Depends(_range)]


@router.get("/marks")
def marks(context: Context, limits: Limits, parts: Parts, asked: Asked, run: Text = "") -> Response:
    """The fills of a run that trades the symbol: of ``run``, or of the newest one. Of a bar the first ten."""
    marked = _run_of(context, asked.symbol, run)
    if marked is None:
        return json_response(udf_marks([]), parts)
    until = min(asked.until, limits.of_replay(marked.replay_uid))
    symbol, length = asked.symbol.symbol, asked.length
    fills = marked_rows.fills_between(context.pool, marked, symbol, length, asked.start, asked.end, until)
    return json_response(
        udf_marks(
            [
                BarMark(
                    f"{marked.run_id}:{fill.seq}",
                    length.open_of_event(fill.ts),
                    "green" if fill.side == "buy" else "red",
                    fill.side[:1].upper(),
                    f"{marked.name}: {fill.side} {fill.size:g} at {fill.price:.10g}{_left_out(fill)}",
                )
                for fill in fills
            ]
        ),
        parts,
    )


@router.get("/timescale_marks")
def timescale_marks(context: Context, limits: Limits, parts: Parts, asked: Asked, run: Text = "") -> Response:
    """The run's trades, the market's gaps, and of a replay its seeks, its rounds and the changes of its scenario."""
    found = [
        *parts.load("database", lambda: [*_trades(context, limits, asked, run), *_gaps(context, asked)]),
        *(_of_replay(context, asked) if asked.symbol.replay else ()),
    ]
    return json_response(udf_timescale_marks(found), parts)


def _left_out(fill: marked_rows.MarkedFill) -> str:
    return f"; {fill.left_out} more in this bar" if fill.left_out else ""


def _run_of(context: GatewayContext, symbol: ChartSymbol, run: str) -> marked_rows.MarkedRun | None:
    found = marked_rows.run_of(context.pool, symbol, run)
    if found is None and run:
        raise NotFound(f"run: got {run[:80]!r}, expected the id of a run that trades {symbol}")
    return found


def _trades(context: GatewayContext, limits: FutureLimits, asked: _Range, run: str) -> Iterator[TimescaleMark]:
    marked = _run_of(context, asked.symbol, run)
    if marked is None:
        return
    until = min(asked.until, limits.of_replay(marked.replay_uid))
    for trade in marked_rows.trades_between(context.pool, marked, asked.symbol.symbol, asked.start, asked.end, until):
        yield TimescaleMark(
            f"trade:{marked.run_id}:{trade.seq}",
            asked.length.open_of_event(trade.ts),
            "green" if trade.pnl_net >= 0 else "red",
            "T",
            [
                f"{marked.name}: {trade.side} {trade.size:g}",
                f"{trade.entry_price:.10g} to {trade.exit_price:.10g}",
                f"net {trade.pnl_net:+.10g}",
                *([trade.exit_reason] if trade.exit_reason else []),
            ],
        )


def _gaps(context: GatewayContext, asked: _Range) -> Iterator[TimescaleMark]:
    symbol = asked.symbol
    for gap in marked_rows.gaps_between(
        context.pool, symbol.exchange, symbol.symbol, asked.start, asked.end, asked.until
    ):
        missing = f"bars of {gap.interval}" if gap.interval else f"{gap.trades} trades"
        opened = asked.length.open_of(gap.ts)
        yield TimescaleMark(f"gap:{gap.interval}:{gap.ts}", opened, "yellow", "G", [f"missing {missing}", gap.state])


def _of_replay(context: GatewayContext, asked: _Range) -> Iterator[TimescaleMark]:
    view = context.reader.caught_up_view(asked.symbol)
    for jump in list(view.jumps):
        if asked.contains(jump.v):
            label, opened = jump.reason[:1].upper(), asked.length.open_of(jump.v)
            yield TimescaleMark(
                f"{jump.reason}:{jump.epoch}", opened, "blue", label, [f"{jump.reason}, epoch {jump.epoch}"]
            )
    if view.start is None:
        return
    for number, change in enumerate(scenario_windows(view.start)):
        concerns = not change.symbols or asked.symbol.symbol in change.symbols
        if concerns and asked.contains(change.start):
            opened = asked.length.open_of(change.start)
            yield TimescaleMark(f"scenario:{number}", opened, "blue", "C", [f"scenario: {change.kind}"])
