"""What an inspection tells of files, for programs."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck_crds.json import Json
from tapedeck_deck.inspection.inspect import Found, Looked

WARNINGS_SHOWN = 10


def document(looked: Looked) -> Json:
    """The files, for ``-o json`` and ``-o yaml`` of `tapedeck import`, and for the gateway."""
    refused = [{"path": path, "error": reason} for path, reason in looked.refused.items()]
    skipped = [{"path": path, "reason": reason} for path, reason in looked.skipped.items()]
    return {
        "files": [each.document() for each in looked.found],
        "warnings": mixed_layouts(looked.found),
        "errors": refused,
        "skipped": skipped,
    }


def mixed_layouts(found: Sequence[Found]) -> list[str]:
    """The series whose files are in different layouts, which may tell of a file that is misread or does not belong."""
    by_series: dict[tuple[str, str], dict[str, str]] = {}
    for each in found:
        kind = each.files.interval if each.recognized.kind == "bars" else "trades"
        for symbol in each.symbols:
            by_series.setdefault((symbol, kind), {}).setdefault(each.recognized.layout, each.path)
    return [
        f"{symbol} {kind}: files are in different layouts: {', '.join(f'{n} ({p})' for n, p in layouts.items())}"
        for (symbol, kind), layouts in by_series.items()
        if len(layouts) > 1
    ][:WARNINGS_SHOWN]
