"""Tables of the documentation's pages."""

from __future__ import annotations

from pathlib import Path


def table_below(page: Path, text: str) -> list[list[str]]:
    """The cells of the first table after a text of the page, without its head."""
    lines = page.read_text().partition(text)[2].splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("|---")) + 1
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")])
    return rows
