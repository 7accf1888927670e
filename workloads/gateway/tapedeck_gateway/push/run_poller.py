"""Polling the results of a backtest run while a client is subscribed to it."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.pool import Pool

PUSHED_POINTS = 1_000
PUSHED_FILLS = 1_000


class RunPoller:
    """Reads the rows of a run that are newer than the last poll.

    Polls the database instead of reading the topic ``backtest.results``: the recorder stores a result within a
    fraction of a second, stored rows have no repeats from a restarted pod, and one query by primary key every quarter
    of a second costs less than reading twelve partitions with the results of all runs.
    """

    def __init__(self, pool: Pool, run: runs.RunRow) -> None:
        self._pool = pool
        self.run = run
        self.finished = False
        self._last_fill, self._last_point, self._trades = runs.last_seqs(pool, run["run_id"])
        self._drawdown_percent = runs.max_drawdown_percent(pool, run["run_id"], self._last_point)
        last = runs.equity(pool, run["run_id"], runs.CURVE_MIN, self._last_point - 1) if self._last_point >= 0 else []
        self._value = last[-1].value if last else run["cash"]
        self._ts: int | None = last[-1].ts if last else None

    def summary(self) -> Json:
        """The message ``run``: state and headline figures, shares in percent."""
        cash = self.run["cash"]
        return {
            "type": "run",
            "run": self.run["run_id"],
            "state": self.run["state"],
            "message": self.run["message"],
            "ts": self._ts,
            "value": self._value,
            "return_percent": (self._value / cash - 1) * 100,
            "max_drawdown_percent": self._drawdown_percent,
            "trades": self._trades,
            "bars": self.run["bars"],
            "metrics": self.run["metrics"],
            "undefined": self.run["undefined"],
        }

    def poll(self) -> list[Json]:
        """Messages for new fills and equity points, and the summary if anything changed. Raises Unavailable."""
        run_id, before = self.run["run_id"], self.summary()
        # Read the state first: once the run has ended, all of its rows are stored.
        self.run = runs.run(self._pool, run_id) or self.run
        messages: list[Json] = []
        fills = runs.fills(self._pool, run_id, self._last_fill, PUSHED_FILLS)
        if fills:
            self._last_fill = fills[-1]["seq"]
            messages.append({"type": "fills", "run": run_id, "fills": fills})
        points = runs.equity(self._pool, run_id, PUSHED_POINTS, self._last_point)
        self._drawdown_percent = max(self._drawdown_percent, *(point.drawdown_percent or 0.0 for point in points), 0.0)
        if points:
            self._last_point, self._value, self._ts = points[-1].seq, points[-1].value, points[-1].ts
            messages.append({"type": "equity", "run": run_id, "points": points})
        self._trades = runs.last_seqs(self._pool, run_id)[2]
        self.finished = self.run["state"] != "running" and not messages
        return [*messages, self.summary()] if messages or self.summary() != before else []
