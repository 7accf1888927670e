"""The traceback that the author of a strategy wants to see: the strategy's own lines."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

import backtrader as bt

from tapedeck_backtest.text import storable
from tapedeck_common.code_files import reading_advice
from tapedeck_common.sandbox import denial

TRACE_FRAMES = 10
LINE_CHARS = 300
TRACE_CHARS = 1_500  # of the 4 KiB that Kubernetes keeps of a termination message; JSON may double them
_PACKAGE = Path(__file__).parents[1]
_BUILTINS = _PACKAGE / "strategies"
_LIBRARIES = (Path(bt.__file__).parent, Path(importlib.__file__).parent)


def strategy_trace(error: BaseException) -> str:
    """The traceback without frames of Tapedeck and Backtrader; the last frames if no others exist.

    Says what was not allowed, if that is the cause, and what to do about a file. It is bounded in size, and contains no
    NUL or lone surrogate, which the database rejects.
    """
    frames = traceback.extract_tb(error.__traceback__)
    while len(frames) > 1 and (_is_tapedeck(frames[-1].filename) or frames[-1].filename == denial.__file__):
        frames.pop()
    first = next((i for i, frame in enumerate(frames) if not _is_library(frame.filename)), 0)
    lines = [*traceback.format_list(frames[first:][-TRACE_FRAMES:]), *traceback.format_exception_only(error)]
    text = storable("".join(map(_clipped, lines)).strip())
    text = text if len(text) <= TRACE_CHARS else "…" + text[-TRACE_CHARS:]
    # Of the folders with modules, only that of the YAML has files that may not be read.
    reason = storable("; ".join(filter(None, (denial.explain_denial(error), reading_advice(error, sys.path)))))
    return f"{text}\n{reason}" if reason else text


def _clipped(lines: str) -> str:
    return "".join(
        line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "…\n" for line in lines.splitlines(keepends=True)
    )


def _is_tapedeck(filename: str) -> bool:
    """Whether the file belongs to this package and not to a built-in strategy."""
    path = Path(filename)
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_BUILTINS)


def _is_library(filename: str) -> bool:
    frozen = filename.startswith("<frozen importlib")
    return frozen or _is_tapedeck(filename) or any(Path(filename).is_relative_to(folder) for folder in _LIBRARIES)
