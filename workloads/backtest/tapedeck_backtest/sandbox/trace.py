"""What of a traceback the author of a strategy wants to see."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path

import backtrader as bt

import tapedeck_backtest

TRACE_FRAMES = 10
LINE_CHARS = 300
TRACE_CHARS = 1_500  # of the 4 KiB that Kubernetes keeps, JSON may take twice as many


def strategy_trace(error: BaseException) -> str:
    """The error with the strategy's own frames, or the last ones where it has none; bounded, and fit for a database."""
    frames = traceback.extract_tb(error.__traceback__)
    while len(frames) > 1 and _is_ours(frames[-1].filename):
        frames.pop()
    own = next((i for i, frame in enumerate(frames) if not _is_machinery(frame.filename)), 0)
    lines = [*traceback.format_list(frames[own:][-TRACE_FRAMES:]), *traceback.format_exception_only(error)]
    text = "".join(map(_clipped, lines)).strip().replace("\0", "").encode("utf-8", "replace").decode()
    return text if len(text) <= TRACE_CHARS else "…" + text[-TRACE_CHARS:]


def _clipped(lines: str) -> str:
    return "".join(
        line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "…\n" for line in lines.splitlines(keepends=True)
    )


_PACKAGE = Path(tapedeck_backtest.__file__).parent
_MACHINERY = (Path(bt.__file__).parent, Path(importlib.__file__).parent)
_BUILTINS = _PACKAGE / "strategies"


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_BUILTINS)


def _is_machinery(filename: str) -> bool:
    frozen = filename.startswith("<frozen importlib")
    return frozen or _is_ours(filename) or any(Path(filename).is_relative_to(folder) for folder in _MACHINERY)
