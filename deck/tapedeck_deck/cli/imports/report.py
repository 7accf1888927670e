"""What an import says of its files: a table of how each is read, and a summary of what came in."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_deck.cli.text_table import TextTable
from tapedeck_deck.inspection.document import mixed_layouts
from tapedeck_deck.inspection.inspect import Found, Looked

_HEADERS = (
    "file",
    "layout",
    "kind",
    "exchange",
    "symbol",
    "interval",
    "unit",
    "zone",
    "rows",
    "first",
    "last",
    "holes",
)
REASONS_SHOWN = 3


def lines(looked: Looked) -> list[str]:
    """The files as text: a table, then what is assumed of them, which rows are refused, and which files."""
    text = TextTable(_HEADERS).lines([_row(each) for each in looked.found]) if looked.found else []
    for assumption, paths in _by_assumption(looked.found).items():
        text.append(f"assumed: {assumption} ({_shown(paths)})")
    for each in looked.found:
        for reason in each.counted.refused[:REASONS_SHOWN]:
            text.append(f"refused: {each.path}:{reason.line}: {reason.reason} ({reason.count} rows)")
        if each.counted.empty:
            text.append(f"empty: {each.path}: {each.counted.empty:,} rows without values")
        text += [f"skipped: {reason}" for reason in each.counted.skipped]
    text += [f"warning: {each}" for each in mixed_layouts(looked.found)]
    text += [f"skipped: {reason}" for reason in looked.skipped.values()]
    return text


def _row(found: Found) -> list[str]:
    recognized, counted = found.recognized, found.counted
    is_bars = recognized.kind == "bars"
    return [
        found.path,
        recognized.layout,
        recognized.kind,
        found.files.exchange,
        found.symbols[0] if len(found.symbols) == 1 else f"{len(found.symbols):,} symbols",
        found.files.interval if is_bars else "",
        recognized.unit,
        recognized.zone,
        f"{counted.rows:,}",
        "" if counted.first is None else format_ms(counted.first),
        "" if counted.last is None else format_ms(counted.last),
        _holes(counted.holes, counted.missing) if is_bars else "",
    ]


def _holes(holes: int, missing: int) -> str:
    return f"{holes:,} ({missing:,} bars)" if holes else "0"


def _by_assumption(found: Sequence[Found]) -> dict[str, list[str]]:
    assumed: dict[str, list[str]] = {}
    for each in found:
        for assumption in each.assumed:
            assumed.setdefault(assumption, []).append(each.path)
    return assumed


def _shown(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def summary(statuses: Sequence[Json], found: Sequence[Found]) -> str:
    """What came in, in a line."""

    def total(name: str) -> int:
        return sum(int(status.get(name) or 0) for status in statuses)

    parts = [f"{total('bars'):,} bars"] + ([f"{total('trades'):,} trades"] if total("trades") else [])
    text = f"imported {' and '.join(parts)}"
    holes = sum(each.counted.holes for each in found)
    missing = sum(each.counted.missing for each in found)
    lacking = f"{missing:,} bars missing in {holes:,} {'hole' if holes == 1 else 'holes'}" if holes else "no holes"
    details = [f"{total('duplicates'):,} repeated", f"{total('errors'):,} refused", lacking]
    return f"{text}: {', '.join(details)}"
