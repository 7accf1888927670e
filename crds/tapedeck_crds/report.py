"""What a pod says of itself: the JSON of its /status, and of its termination message once it has ended.

Together with image, arguments, environment and exit codes this is all that the operator knows of a
workload.
"""

from __future__ import annotations

from typing import Any, Literal

from tapedeck_crds.base import Model
from tapedeck_crds.clock import Anchor

REPORT_MAX_BYTES = 4096  # Kubernetes keeps no longer termination messages

ReportState = Literal["starting", "waiting", "running", "paused", "holding", "complete", "failed"]


class TransformReport(Model):
    """One transform's: results published and failed calls since the pod was started."""

    name: str
    points: int = 0
    errors: int = 0
    lookback: int = 0
    message: str = ""


class TransformsReport(Model):
    """All transforms'. ``caught_up`` is when all that was on the log was last seen to be through, milliseconds UTC."""

    results: tuple[TransformReport, ...] = ()
    caught_up: int | None = None


class Report(Model):
    """What every workload says. ``reason`` is a CamelCase word; ``message`` is for people."""

    state: ReportState = "starting"
    reason: str = ""
    message: str = ""
    transforms: TransformsReport | None = None


class SinkReport(Model):
    """Another store. ``up`` is None before its first points; ``lag`` is in messages on the log that it lacks,
    ``delivered`` and ``refused`` count points, ``errors`` deliveries that were given up and begun again.
    """

    name: str
    up: bool | None = None
    delivered: int = 0
    refused: int = 0
    errors: int = 0
    lag: int = 0
    last_error: str = ""


class RecorderReport(Report):
    """The recorder's: how the other stores do that take the same records."""

    sinks: tuple[SinkReport, ...] = ()


class BackfillReport(Model):
    """One shard's share of the past: opens of [range_from, range_to), milliseconds UTC. ``done`` of ``total`` of them
    are asked for or were known, ``rows`` bars came, ``missing`` ones the exchange does not have.

    ``rate`` is in bars a second; ``eta_seconds`` is None before it is known.
    """

    range_from: int
    range_to: int
    done: int = 0
    total: int = 0
    rows: int = 0
    missing: int = 0
    rate: float = 0.0
    retries: int = 0
    eta_seconds: int | None = None
    last_error: str = ""


class FeedReport(Report):
    """``done`` of ``total`` files are through. What is behind ``errors`` a live one alone has.

    ``late`` trades came after the close of their bar, ``missing`` ones the exchange had no more.
    """

    done: int = 0
    total: int = 0
    bars: int = 0
    trades: int = 0
    duplicates: int = 0
    errors: int = 0
    tickers: int = 0
    symbols: int = 0
    late: int = 0
    missing: int = 0
    reconnects: int = 0
    clock_skew_ms: int | None = None
    backfill: BackfillReport | None = None


class ReplayReport(Report):
    """One shard's. ``waiting`` until the first anchor comes, or after a restart its confirmation.

    ``position`` is virtual time in round ``loop_round``; ``last_event`` is when the last possible bar is due;
    all times milliseconds UTC. ``rows`` is how many bars one pass has, ``published`` how many are on the topic
    over all epochs, ``passed`` how many of the pass's rows lie at or before the position. ``stalled`` asks for
    a new anchor.
    """

    topic: str = ""
    range_from: int | None = None
    range_to: int | None = None
    rows: int = 0
    passed: int = 0
    published: int = 0
    position: int | None = None
    last_event: int | None = None
    interval_ms: int = 0
    loop_round: int = 0
    stalled: bool = False
    epoch: str = "0.0"
    anchor: Anchor | None = None


class TrialReport(Model):
    """One of the best trials."""

    window: int
    trial: int
    objective: float
    params: dict[str, Any]


class BacktestReport(Report):
    """``waiting`` until the first bar comes; ``total`` is 0 where the number of bars is not known.

    A shard of a sweep has made ``tried`` of the ``trials`` of all; ``best`` are the best of its own.
    """

    run_id: str = ""
    bars: int = 0
    total: int = 0
    trades: int = 0
    value: float | None = None
    return_percent: float | None = None
    buy_and_hold_percent: float | None = None
    cagr_percent: float | None = None
    max_drawdown_percent: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    profit_factor: float | None = None
    win_rate_percent: float | None = None
    tried: int = 0
    trials: int = 0
    best: tuple[TrialReport, ...] = ()
