"""A sweep of a strategy's params: its trials, the best of them, and one metric over two params."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from tapedeck.answers import list_of, part_of
from tapedeck.display.html import facts_html, rows_html
from tapedeck.errors import BadRequest, ClientError
from tapedeck.resources import Document, quoted
from tapedeck.runs import RunHandle
from tapedeck.sync_async import Blocking
from tapedeck.table import MarketTable
from tapedeck.transport import Transport

AxisLike: TypeAlias = Sequence[float] | Sequence[str] | Mapping[str, float]
"""The values of a param: numbers, texts, or {"from": …, "to": …, "step": …}."""
BEST_SHOWN = 5
OUT_OF_SAMPLE = -1  # the number of the trial that trades the best of a window in the time after it


class SweepHandle(RunHandle):
    """A sweep. ``trials`` and ``best`` wait until it has ended, with a progress bar in notebooks and terminals."""

    def __init__(
        self,
        transport: Transport,
        name: str,
        namespace: str,
        run_id: str | None = None,
        run: Mapping[str, Any] | None = None,
        *,
        minimize: bool,
    ) -> None:
        super().__init__(transport, name, namespace, run_id, run)
        self._minimize = minimize

    @cached_property
    def trials(self) -> MarketTable:
        """All trials: window, trial, a column for each param, objective, feasible, message, and each metric."""
        self.wait()
        entries = self._transport.pages(f"/sweeps/{quoted(self.run_id)}/trials", "trials")
        return MarketTable.from_rows([_trial_row(entry) for entry in entries], f"{self.name}: trials", ())

    @Blocking
    def load(self) -> None:
        """Wait for the end, and read all trials and results. Raises as ``wait``."""
        self.wait()
        _ = (self.trials, self.trades, self.fills, self.equity)

    @property
    def best(self) -> list[dict[str, Any]]:
        """The feasible trials, the best first; of a walk-forward those in-sample."""
        rows = [row for row in self.trials.to_rows() if row["feasible"] and row["objective"] is not None]
        rows = [row for row in rows if row["trial"] != OUT_OF_SAMPLE]
        return sorted(rows, key=lambda row: float(row["objective"]), reverse=not self._minimize)

    @Blocking
    def matrix(self, x: str, y: str, metric: str = "objective", *, window: int = 0) -> MarketTable:
        """A metric over two params: a row for each value of ``y``, a column for each of ``x``, such as fast=10.

        A cell is the mean of the trials that have both values; null where there is none. ``window`` is the number of
        a window of a walk-forward, whose trials are in-sample. Raises BadRequest where the sweep has no such param,
        metric or window; the message names those that it has.
        """
        self.wait()
        query: dict[str, str | int] = {"x": x, "y": y, "metric": metric, "window": window}
        found = self._transport.get(f"/sweeps/{quoted(self.run_id)}/matrix", query)
        names = [f"{x}={value}" for value in list_of(found, "xs")]
        rows = [
            {y: value, **dict(zip(names, cells, strict=True))}
            for value, cells in zip(list_of(found, "ys"), list_of(found, "values"), strict=True)
        ]
        return MarketTable.from_rows(rows, f"{self.name}: {metric}" + (f", window {window}" if window else ""), ())

    def _repr_html_(self) -> str:
        if self._run is None or self._run["state"] == "failed":
            return super()._repr_html_()
        try:
            best = self.best[:BEST_SHOWN]
        except ClientError as error:
            return facts_html(f"sweep {self.name}", {"state": "unknown", "message": str(error)})
        columns = [name for name in self.trials.columns if name not in ("message", "feasible")]
        rows = [[row[name] for name in columns] for row in best]
        return rows_html(f"sweep {self.name}: the best of {len(self.trials):,} trials", columns, rows)


def sweep_spec(
    space: Mapping[str, AxisLike], objective: str, direction: str, trials: int | None, search: str | None, pods: int
) -> Document:
    """The field ``sweep`` of a Backtest. Raises BadRequest."""
    if not space:
        raise BadRequest('space: got no param, expected at least one, such as {"fast": [5, 10, 20]}')
    chosen = search or ("grid" if trials is None else "random")
    spec: Document = {
        "search": chosen,
        "params": [_axis(name, values) for name, values in space.items()],
        "objective": {"metric": _camel(objective), "direction": direction},
        "shards": pods,
    }
    return spec | ({"trials": trials} if trials is not None else {})


def is_minimized(spec: Mapping[str, Any] | None) -> bool:
    """Whether the sweep of a Backtest's spec looks for the lowest objective."""
    objective = ((spec or {}).get("sweep") or {}).get("objective") or {}
    return bool(objective.get("direction") == "minimize")


def _axis(name: str, values: AxisLike) -> Document:
    if isinstance(values, Mapping):
        return {"name": name, **values}
    if isinstance(values, str):
        raise BadRequest(f"space: {name}: got a text, expected a list of values")
    found = [value.item() if hasattr(value, "item") else value for value in values]  # numbers of NumPy
    if found and all(isinstance(value, str) for value in found):
        return {"name": name, "texts": found}
    if not found or not all(isinstance(value, int | float) for value in found):
        raise BadRequest(f"space: {name}: got {found!r}, expected numbers alone or texts alone")
    return {"name": name, "values": [int(value) if isinstance(value, bool) else value for value in found]}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _trial_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A trial with its params and metrics as columns; a metric that has the name of a param is left out."""
    params = part_of(entry, "params")
    metrics = {name: value for name, value in (entry.get("metrics") or {}).items() if name not in params}
    rest = {name: entry.get(name) for name in ("window", "trial", "objective", "feasible", "message")}
    return {"window": rest.pop("window"), "trial": rest.pop("trial"), **params, **rest, **metrics}
