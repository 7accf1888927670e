"""The report of a run: its metrics, drawdowns, periods, and what was open at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tapedeck.display.html import facts_html, rows_html, text_of
from tapedeck.times import iso_of

_TIMES = frozenset({"peak", "trough", "end", "ts"})
PARTS = ("drawdowns", "periods", "positions", "orders")


class TearSheet:
    """What a run's end says. ``metrics`` are its figures; ``undefined`` says why some of them are missing.

    ``drawdowns``, ``periods``, ``positions`` and ``orders`` are lists of rows; their times are milliseconds UTC.
    """

    def __init__(self, name: str, run: Mapping[str, Any]) -> None:
        self.name = name
        self.metrics: dict[str, float | None] = dict(run.get("metrics") or {})
        self.undefined: dict[str, str] = dict(run.get("undefined") or {})
        self.message = str(run.get("message") or "")
        self.drawdowns, self.periods, self.positions, self.orders = (list(run.get(part) or []) for part in PARTS)

    def __str__(self) -> str:
        width = max((len(name) for name in self.metrics), default=0)
        lines = [f"backtest {self.name}" + (f": {self.message}" if self.message else "")]
        lines += [f"  {name:<{width}}  {text_of(value)}" for name, value in self.metrics.items()]
        lines += [f"  {name}: {reason}" for name, reason in self.undefined.items()]
        for part in PARTS:
            rows = getattr(self, part)
            lines += [f"{part}:", *(f"  {_row_text(row)}" for row in rows)] if rows else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = facts_html(f"backtest {self.name}", self.metrics)
        if self.undefined:
            text += facts_html("missing figures", self.undefined)
        return text + "".join(_table(part, getattr(self, part)) for part in PARTS)


def _table(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = list(rows[0])
    return rows_html(caption, columns, [[_shown(name, row.get(name)) for name in columns] for row in rows])


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text_of(_shown(name, value))}" for name, value in row.items())


def _shown(name: str, value: Any) -> Any:
    return iso_of(value) if name in _TIMES and isinstance(value, int) else value
