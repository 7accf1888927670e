"""The figures that the documentation shows: the last recorded one of each, with its day and its machine."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.figures import Figure

FILE = Path(__file__).parent / "recorded.json"


def recorded() -> dict[str, dict[str, Any]]:
    """Name → the figure with ``measured`` (a date, UTC) and ``machine``."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def record(figures: Sequence[Figure]) -> None:
    """Put figures in the place of those of the same names."""
    said = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine()}
    new = {figure.name: {name: _rounded(each) for name, each in asdict(figure).items()} | said for figure in figures}
    FILE.write_text(json.dumps(recorded() | new, indent=1, sort_keys=True) + "\n")


def machine() -> str:
    """Processor, cores, memory and kernel of this machine."""
    model = "an unknown processor"
    if (info := Path("/proc/cpuinfo")).exists() and (found := re.search(r"model name\s*: (.+)", info.read_text())):
        model = found[1]
    memory = psutil.virtual_memory().total / 2**30
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {kernel}"


def _rounded(value: object) -> object:
    """Four digits say what a benchmark knows."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
