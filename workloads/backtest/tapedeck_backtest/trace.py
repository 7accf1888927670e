"""What of a traceback the author of a strategy wants to see."""

from __future__ import annotations

import traceback
from pathlib import Path

import backtrader as bt

TRACE_FRAMES = 10
TRACE_CHARS = 2_000


def strategy_trace(error: BaseException) -> str:
    """The error with the strategy's own frames, or the last ones where it has none; bounded in length."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next((i for i, frame in enumerate(frames) if not _is_machinery(frame.filename)), 0)
    lines = traceback.format_list(frames[own:][-TRACE_FRAMES:])
    text = "".join([*lines, *traceback.format_exception_only(error)]).strip()
    return text if len(text) <= TRACE_CHARS else "…" + text[-TRACE_CHARS:]


_MACHINERY = (Path(bt.__file__).parent, Path(__file__).parent)
_BUILTINS = Path(__file__).parent / "strategies"


def _is_machinery(filename: str) -> bool:
    path = Path(filename)
    return any(path.is_relative_to(folder) for folder in _MACHINERY) and not path.is_relative_to(_BUILTINS)
