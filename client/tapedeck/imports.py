"""Bringing data into a deck of this machine: files, and the history of exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from tapedeck.command import run_json
from tapedeck.times import TimeLike, to_iso


class ImportOptions(TypedDict, total=False):
    """What files do not say themselves; each is the option of `tapedeck import` of that name (docs/guides/files.md)."""

    exchange: str
    symbol: str
    interval: str
    kind: Literal["bars", "trades"]
    layout: str
    columns: Sequence[str]
    map: Mapping[str, str | int]
    zone: str
    unit: Literal["s", "ms", "us", "ns"]
    time_format: str
    stamp: Literal["open", "close"]
    delimiter: str
    decimal: str
    thousands: str
    encoding: str
    scale: float
    adjust: bool


def import_words(paths: Sequence[str | Path], options: ImportOptions, *, dry_run: bool) -> list[str]:
    """The words of the command."""
    words = ["import", "--dry-run" if dry_run else "--yes"]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        match value:
            case True:
                words.append(option)
            case False | None:
                continue
            case Mapping():
                words += [word for field, column in value.items() for word in (option, f"{field}={column}")]
            case list() | tuple():
                words += [option, ",".join(str(each) for each in value)]
            case _:
                words += [option, str(value)]
    return [*words, "--", *(str(Path(path).expanduser()) for path in paths)]


def import_files(home: Path, paths: Sequence[str | Path], options: ImportOptions, *, dry_run: bool) -> dict[str, Any]:
    """Run `tapedeck import`. Raises CommandFailed."""
    found: dict[str, Any] = run_json(home, import_words(paths, options, dry_run=dry_run))
    return found


def fetch(
    home: Path, exchange: str, symbols: Sequence[str], start: TimeLike, end: TimeLike | None, intervals: Sequence[str]
) -> dict[str, Any]:
    """Run `tapedeck fetch`. Raises CommandFailed."""
    words = ["fetch", "--exchange", exchange, "--start", to_iso(start, "start")]
    for symbol in symbols:
        words += ["--symbols", symbol]
    for interval in intervals:
        words += ["--interval", interval]
    found: dict[str, Any] = run_json(home, words + (["--end", to_iso(end, "end")] if end is not None else []))
    return found
