"""Markdown that GitHub and the site show alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HEADER = "<!-- Written from the code by `make reference`; edit the code, not this file. -->\n"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown."""
    lines = [_row(headers), _row(["---"] * len(headers)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def code(text: object) -> str:
    """Text in the typeface of code; empty for none."""
    said = " ".join(str(text).split())
    if not said:
        return ""
    fence = "``" if "`" in said else "`"
    blank = " " if "`" in said else ""
    return f"{fence}{blank}{said}{blank}{fence}"


def prose(text: str) -> str:
    """Text from code as Markdown: what Markdown or HTML would read as markup is escaped, code stays code."""
    parts = " ".join(text.replace("``", "`").split()).split("`")
    plain = [_escaped(part) if number % 2 == 0 else f"`{part}`" for number, part in enumerate(parts)]
    return "".join(plain)


def _escaped(text: str) -> str:
    for character in "\\*_<[":
        text = text.replace(character, f"\\{character}")
    return text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"
