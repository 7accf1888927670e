"""The boundary around the strategy's code: whatever the strategy raises fails the run with the strategy's own lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.memory_limit import lift_memory_limit
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_backtest.sandbox.watchdog import BarTimeout, StrategyWatchdog
from tapedeck_crds.errors import Interrupted, Unavailable


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
