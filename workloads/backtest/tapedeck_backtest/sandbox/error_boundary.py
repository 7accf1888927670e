"""The boundary around the strategy's code: whatever the strategy raises fails the run with the strategy's own lines."""

from __future__ import annotations

import importlib
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import backtrader as bt
import psycopg

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.memory_limit import lift_memory_limit
from tapedeck_backtest.sandbox.watchdog import BarTimeout, StrategyWatchdog
from tapedeck_crds.errors import Interrupted, Unavailable

TRACE_FRAMES = 10
LINE_CHARS = 300
TRACE_CHARS = 1_500  # of the 4 KiB that Kubernetes keeps of a termination message; JSON may double them
_PACKAGE = Path(__file__).parents[1]
_BUILTINS = _PACKAGE / "strategies"
_LIBRARIES = (Path(bt.__file__).parent, Path(importlib.__file__).parent)


class StrategyGuard:
    """Surrounds the strategy's code, and ends it when the pod is asked to stop."""

    def __init__(self, watchdog: StrategyWatchdog, stop: threading.Event) -> None:
        self._watchdog = watchdog
        self._stop = stop

    def heartbeat(self) -> None:
        """The strategy has finished a bar. Raises Interrupted if the pod is asked to stop."""
        self._watchdog.heartbeat()
        if self._stop.is_set():
            raise Interrupted("the pod was asked to stop before the run was complete")

    @contextmanager
    def strategy_code(self, run_id: str) -> Iterator[None]:
        """Surrounds the strategy's code. Raises RunFailed (TimeLimit, MemoryLimit, StrategyError) with its traceback.

        The run's own errors pass: RunFailed, Interrupted, Unavailable and psycopg.Error.
        """
        try:
            with self._watchdog.watching(run_id):
                yield
        except (RunFailed, Interrupted, Unavailable, psycopg.Error):
            raise
        except BarTimeout as error:
            self.heartbeat()
            raise RunFailed("TimeLimit", bar_timeout_message(self._watchdog.seconds, error)) from error
        except MemoryError as error:
            lift_memory_limit()
            raise RunFailed(
                "MemoryLimit", f"resources.limits.memory: the strategy exceeded it:\n{strategy_trace(error)}"
            ) from error
        except BaseException as error:
            raise RunFailed("StrategyError", strategy_trace(error)) from error


def bar_timeout_message(seconds: float, error: BarTimeout) -> str:
    """The message of a strategy that exceeded the time limit, with the line that it was executing."""
    return (
        f"limits.barSeconds: the strategy worked on one bar for more than {seconds:g} s, here:\n{strategy_trace(error)}"
    )


def strategy_trace(error: BaseException) -> str:
    """The traceback without frames of Tapedeck and Backtrader; the last frames if no others exist.

    It is bounded in size, and contains no NUL or lone surrogate, which the database rejects.
    """
    frames = traceback.extract_tb(error.__traceback__)
    while len(frames) > 1 and _is_tapedeck(frames[-1].filename):
        frames.pop()
    first = next((i for i, frame in enumerate(frames) if not _is_library(frame.filename)), 0)
    lines = [*traceback.format_list(frames[first:][-TRACE_FRAMES:]), *traceback.format_exception_only(error)]
    text = "".join(map(_clipped, lines)).strip().replace("\0", "").encode("utf-8", "replace").decode()
    return text if len(text) <= TRACE_CHARS else "…" + text[-TRACE_CHARS:]


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
