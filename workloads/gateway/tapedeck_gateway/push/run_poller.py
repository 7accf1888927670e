"""A run that somebody watches: what the store has of it beyond what was told last."""

from __future__ import annotations

from typing import Any

from tapedeck_gateway.store import runs
from tapedeck_gateway.store.bars import Pool

PUSHED_POINTS = 1_000
PUSHED_FILLS = 1_000


class RunWatch:
    """Polled, not tailed: the recorder has a result in the store within a fraction of a second, rows there are
    already free of a restarted run's repeats, and one query by primary key a quarter of a second costs the
    database less than reading twelve partitions of all runs would cost here.
    """

    def __init__(self, pool: Pool, run: runs.Row) -> None:
        self._pool = pool
        self.run = run
        self.over = False
        self._fill, self._equity, self._trades = runs.last_of(pool, run["run_id"])
        self._peak, self._drawdown = runs.drawdown(pool, run["run_id"], run["cash"], self._equity)
        last = runs.equity(pool, run["run_id"], self._equity - 1) if self._equity >= 0 else []
        self._value = last[-1].value if last else run["cash"]
        self._ts: int | None = last[-1].ts if last else None

    def headline(self) -> dict[str, Any]:
        """The run's figures so far; shares in percent."""
        cash = self.run["cash"]
        return {
            "type": "run",
            "run": self.run["run_id"],
            "state": self.run["state"],
            "message": self.run["message"],
            "ts": self._ts,
            "value": self._value,
            "return_percent": (self._value / cash - 1) * 100,
            "max_drawdown_percent": self._drawdown * 100,
            "trades": self._trades,
            "bars": self.run["bars"],
            "metrics": self.run["metrics"],
        }

    def poll(self) -> list[dict[str, Any]]:
        """What is new: fills, points of equity, and the figures where one of them changed."""
        run_id, before = self.run["run_id"], self.headline()
        # The run's state is read first: once it is over, all of its rows are there.
        self.run = runs.run(self._pool, run_id) or self.run
        messages: list[dict[str, Any]] = []
        fills = runs.fills(self._pool, run_id, self._fill, PUSHED_FILLS)
        if fills:
            self._fill = fills[-1]["seq"]
            messages.append({"type": "fills", "run": run_id, "fills": fills})
        points = runs.equity(self._pool, run_id, self._equity)
        for point in points:
            self._peak = max(self._peak, point.value)
            self._drawdown = max(self._drawdown, 1 - point.value / self._peak)
        if points:
            self._equity, self._value, self._ts = points[-1].seq, points[-1].value, points[-1].ts
            messages.append({"type": "equity", "run": run_id, "points": runs.thinned(points, PUSHED_POINTS)})
        self._trades = runs.last_of(self._pool, run_id)[2]
        self.over = self.run["state"] != "running" and not messages
        return [*messages, self.headline()] if messages or self.headline() != before else []
