"""Polling the results of a backtest run while a client is subscribed to it."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.pool import Pool

PUSHED_POINTS = 5_000  # of a message: the next poll has those that follow
PUSHED_FILLS = 1_000


class RunPoller:
    """Reads the rows of a run that are newer than the last poll, up to the position of the replay that it is bound to.

    Polls the database instead of reading the topic ``backtest.results``: the recorder stores a result within a
    fraction of a second, stored rows have no repeats from a restarted pod, and one query by primary key every quarter
    of a second costs less than reading twelve partitions with the results of all runs.
    """

    def __init__(self, pool: Pool, run: runs.RunRow, limits: FutureLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._run_id, self._replay_uid = str(run["run_id"]), str(run["replay_uid"])
        self.finished = False
        self._show(run, limits.of_replay(self._replay_uid))

    def _show(self, run: runs.RunRow, until: int) -> None:
        """Everything up to ``until``, as the next messages continue it. Nothing changes where it raises."""
        last_fill, last_point, trades = runs.last_seqs(self._pool, self._run_id, until)
        drawdown = runs.max_drawdown_percent(self._pool, self._run_id, last_point)
        last = runs.equity(self._pool, self._run_id, runs.CURVE_MIN, last_point - 1, until) if last_point >= 0 else []
        self._until, self._run = until, runs.seen_until(run, until)
        self._last_fill, self._last_point, self._trades = last_fill, last_point, trades
        self._drawdown_percent = drawdown
        self._value = last[-1].value if last else run["cash"]
        self._ts: int | None = last[-1].ts if last else None

    def summary(self) -> Json:
        """The message ``run``: state and headline figures, shares in percent."""
        cash = self._run["cash"]
        return {
            "type": "run",
            "run": self._run_id,
            "state": self._run["state"],
            "message": self._run["message"],
            "ts": self._ts,
            "value": self._value,
            "return_percent": (self._value / cash - 1) * 100,
            "max_drawdown_percent": self._drawdown_percent,
            "trades": self._trades,
            "bars": self._run["bars"],
            "metrics": self._run["metrics"],
            "undefined": self._run["undefined"],
            "shown_until": self._run["shown_until"],
        }

    def poll(self) -> list[Json]:
        """Messages for new fills and equity points, and the summary if anything changed; after a seek back, a reset.

        Raises Unavailable.
        """
        until = self._limits.of_replay(self._replay_uid)
        if self.finished and until == self._until:
            return []
        # Read the state first: once the run has ended, all of its rows are stored.
        run = runs.run(self._pool, self._run_id)
        if run is None:
            return []
        before = self.summary()
        if until < self._until and run["last_event"] is not None and run["last_event"] > until:
            self._show(run, until)
            return [{"type": "reset"}, self.summary()]
        # All is read before anything is noted: where a query fails, the next poll finds the same again.
        fills = runs.fills(self._pool, self._run_id, self._last_fill, PUSHED_FILLS, until)
        points = runs.equity_after(self._pool, self._run_id, self._last_point, PUSHED_POINTS, until)
        trades = runs.last_seqs(self._pool, self._run_id, until)[2]
        self._until, self._run, self._trades = until, runs.seen_until(run, until), trades
        messages = [*self._fill_messages(fills), *self._point_messages(points)]
        self.finished = run["state"] != "running" and not messages
        return [*messages, self.summary()] if messages or self.summary() != before else []

    def shown(self, count: int, points_max: int) -> tuple[list[runs.RunRow], list[runs.EquityPoint]]:
        """The last ``count`` fills, and the equity curve thinned to ``points_max`` points, up to the last poll.

        Raises Unavailable.
        """
        fills = runs.fills(self._pool, self._run_id, self._last_fill - count, count, self._until)
        points = runs.equity(self._pool, self._run_id, points_max, -1, self._until)
        return fills, [point for point in points if point.seq <= self._last_point]

    def _fill_messages(self, fills: list[runs.RunRow]) -> list[Json]:
        if not fills:
            return []
        self._last_fill = fills[-1]["seq"]
        return [{"type": "fills", "run": self._run_id, "fills": fills}]

    def _point_messages(self, points: list[runs.EquityPoint]) -> list[Json]:
        if not points:
            return []
        self._drawdown_percent = max(self._drawdown_percent, *(point.drawdown_percent or 0.0 for point in points))
        self._last_point, self._value, self._ts = points[-1].seq, points[-1].value, points[-1].ts
        return [{"type": "equity", "run": self._run_id, "points": points}]
