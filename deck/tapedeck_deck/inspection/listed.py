"""The files that an inspection looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Listed:
    """Files below a folder, as paths relative to it. ``chosen`` are those that the user named one by one."""

    root: Path
    paths: tuple[str, ...]
    chosen: frozenset[str]
