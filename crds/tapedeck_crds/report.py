"""Reports of pods: the JSON of /status and of the termination message.

Together with image, arguments, environment and exit codes this is all that the operator knows of a workload.
"""

from __future__ import annotations

from typing import Any, Literal

from tapedeck_crds.base import Model, ShownText
from tapedeck_crds.clock import Anchor
from tapedeck_crds.refusals import RefusedRows

REPORT_MAX_BYTES = 4096  # the limit of Kubernetes for a termination message

ReportState = Literal["starting", "waiting", "running", "paused", "holding", "complete", "failed"]


class TransformReport(Model):
    """One transform: results published and calls failed since the start of the pod."""

    name: str
    points: int = 0
    errors: int = 0
    lookback: int = 0
    message: ShownText = ""


class TransformsReport(Model):
    """All transforms. ``caught_up`` is when all records of the log were last processed, milliseconds UTC."""

    results: tuple[TransformReport, ...] = ()
    caught_up: int | None = None


class Report(Model):
    """The report of every workload. ``reason`` is one CamelCase word; ``message`` is for people.

    ``sandbox`` says what the sandbox of users' code lacks on the pod's kernel; empty if nothing, or without such code.
    """

    state: ReportState = "starting"
    reason: ShownText = ""
    message: ShownText = ""
    sandbox: str = ""
    transforms: TransformsReport | None = None


class SinkReport(Model):
    """A sink. ``up`` is None before the first delivery; ``lag`` is the number of messages of the log not yet delivered,
    ``delivered`` and ``refused`` count points, ``errors`` failed deliveries, which are repeated.
    """

    name: str
    up: bool | None = None
    delivered: int = 0
    refused: int = 0
    errors: int = 0
    lag: int = 0
    last_error: ShownText = ""


class RecorderReport(Report):
    """The recorder, with the state of its sinks."""

    sinks: tuple[SinkReport, ...] = ()


class BackfillReport(Model):
    """One shard of a backfill: open times in [range_from, range_to), milliseconds UTC. ``done`` of ``total`` bars are
    downloaded or were already stored, ``rows`` were published, and the exchange does not have ``missing`` ones.

    ``rate`` is in bars per second; ``eta_seconds`` is None before it can be estimated.
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
    last_error: ShownText = ""


class FeedReport(Report):
    """A Feed. ``done`` of ``total`` files are imported. ``refused`` has the first distinct reasons for which
    ``refused_rows`` rows or messages were refused; ``taken`` ones were not.

    Only a live Feed has the fields from ``tickers``: ``late`` trades were received after the close of their bar;
    ``missing`` ones are not available, in ``gaps`` gaps of ids that count up.
    """

    done: int = 0
    total: int = 0
    bars: int = 0
    trades: int = 0
    duplicates: int = 0
    errors: int = 0
    taken: int = 0
    refused_rows: int = 0
    refused: tuple[RefusedRows, ...] = ()
    tickers: int = 0
    symbols: int = 0
    late: int = 0
    missing: int = 0
    gaps: int = 0
    reconnects: int = 0
    clock_skew_ms: int | None = None
    backfill: BackfillReport | None = None


class ReplayReport(Report):
    """One shard of a Replay. ``waiting`` until the first anchor, or after a restart until its confirmation.

    ``position`` is virtual time in round ``loop_round``; ``last_event`` is the event time of the last possible bar; all
    times are milliseconds UTC. ``rows`` is the number of bars of one pass, ``published`` the number on the topic over
    all epochs, ``passed`` the number of the pass at or before the position. ``stalled`` requests a new anchor, and
    so does ``ahead``: the control in effect arrived late, and the position is past the virtual time that it sets.
    """

    topic: ShownText = ""
    range_from: int | None = None
    range_to: int | None = None
    rows: int = 0
    passed: int = 0
    published: int = 0
    position: int | None = None
    last_event: int | None = None
    interval: str = ""
    loop_round: int = 0
    stalled: bool = False
    ahead: bool = False
    epoch: str = "0.0"
    anchor: Anchor | None = None


class TrialReport(Model):
    """One of the best trials. It ran over bars with opens in [``start``, ``end``), milliseconds UTC."""

    window: int
    trial: int
    start: int
    end: int
    objective: float
    params: dict[str, Any]


class BacktestReport(Report):
    """A run. ``waiting`` until the first bar; ``total`` is 0 where the number of bars is unknown.

    ``undefined`` has a line for each reason why figures are None.

    A shard of a sweep has completed ``tried`` of all ``trials``; ``best`` are the best of its own. The last
    shard has the figures of the sweep as a whole, too.
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
    daily_returns: int = 0
    sharpe: float | None = None
    sharpe_error: float | None = None
    probabilistic_sharpe: float | None = None
    sortino: float | None = None
    profit_factor: float | None = None
    win_rate_percent: float | None = None
    lowest_value: float | None = None
    open_positions: int | None = None
    unrealised_profit: float | None = None
    open_orders: int | None = None
    undefined: tuple[ShownText, ...] = ()
    tried: int = 0
    trials: int = 0
    best: tuple[TrialReport, ...] = ()
    deflated_sharpe: float | None = None
    windows: int = 0
    cold_windows: int = 0
    empty_windows: int = 0
    open_windows: int = 0
    bust_trials: int | None = None
    failed_trials: int | None = None


WINDOW_COUNTS = ("windows", "cold_windows", "empty_windows", "open_windows")
"""Fields of BacktestReport that count windows of a walk-forward."""
TRIAL_COUNTS = ("bust_trials", "failed_trials")
"""Fields of BacktestReport that count trials of a sweep, in the last shard's report."""
