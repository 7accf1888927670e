"""Tables as HTML, in the colours of the page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

_CELL = "padding:.15em .7em;text-align:right;font-variant-numeric:tabular-nums"
_HEAD = f"{_CELL};font-weight:600;border-bottom:1px solid currentColor"
_TABLE = "border-collapse:collapse;margin:.4em 0"
_CAPTION = "text-align:left;opacity:.7;padding:.2em 0"


def rows_html(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], gap: int | None = None) -> str:
    """A table. ``gap`` is the number of rows after which some are left out."""
    head = "".join(f'<th style="{_HEAD}">{escape(name)}</th>' for name in columns)
    lines = [f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows]
    if gap is not None:
        lines.insert(gap, f"<tr>{''.join(_cell('…') for _ in columns)}</tr>")
    return (
        f'<table style="{_TABLE}"><caption style="{_CAPTION}">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def facts_html(caption: str, facts: Mapping[str, Any]) -> str:
    """A table of names and values."""
    return rows_html(caption, ["", ""], [[name, value] for name, value in facts.items()])


def text_of(value: Any) -> str:
    """A value for people: numbers to six digits, times without a zone, nothing as a dash."""
    match value:
        case None:
            return "–"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}" if abs(value) >= 1_000 else f"{value:.6g}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")
    return str(value)


def _cell(value: Any) -> str:
    return f'<td style="{_CELL}">{escape(text_of(value))}</td>'
