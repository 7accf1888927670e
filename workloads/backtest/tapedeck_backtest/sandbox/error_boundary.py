"""The boundary around the strategy's code: whatever the strategy raises fails the run with the strategy's own lines."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tapedeck_backtest.errors import PodGone, RunFailed
from tapedeck_backtest.sandbox.memory_limit import lift_memory_limit
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace

HEARTBEAT_SECONDS = 0.2
_INTERRUPT_SHARE = 0.9  # of the time limit: an interrupt before it was for the bar that has just ended


class BarTimeout(BaseException):
    """Raised inside the strategy's code. No Exception, so that its ``except Exception`` does not catch it."""


class StrategyGuard:
    """Surrounds the strategy's code, tells the pod of it, and raises BarTimeout in it when the pod sends a signal.

    ``on_activity`` receives "entered", "left" and "heartbeat". ``busy`` says whether a message is being sent, which a
    signal must not interrupt.
    """

    def __init__(self, bar_seconds: float, on_activity: Callable[[str], None], busy: Callable[[], bool]) -> None:
        self.bar_seconds = bar_seconds
        self._on_activity = on_activity
        self._busy = busy
        self._inside = False
        self._last_bar = self._next_message = time.monotonic()

    def handle(self, number: int) -> None:
        """Raise BarTimeout on this signal, where the strategy's code runs. Only in the main thread."""
        signal.signal(number, self._raise)

    def heartbeat(self) -> None:
        """The strategy has finished a bar."""
        now = self._last_bar = time.monotonic()
        if now >= self._next_message:
            self._next_message = now + HEARTBEAT_SECONDS
            self._on_activity("heartbeat")

    @contextmanager
    def strategy_code(self) -> Iterator[None]:
        """Surrounds the strategy's code. Raises RunFailed (TimeLimit, MemoryLimit, StrategyError) with its trace."""
        self._on_activity("entered")
        self._last_bar, self._inside = time.monotonic(), True
        try:
            yield
        except (RunFailed, PodGone):
            raise
        except BarTimeout as error:
            raise RunFailed("TimeLimit", bar_timeout_message(self.bar_seconds, error)) from error
        except MemoryError as error:
            lift_memory_limit()
            raise RunFailed(
                "MemoryLimit", f"resources.limits.memory: the strategy exceeded it:\n{strategy_trace(error)}"
            ) from error
        except BaseException as error:
            raise RunFailed("StrategyError", strategy_trace(error)) from error
        finally:
            self._inside = False
            self._on_activity("left")

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        late = time.monotonic() - self._last_bar >= self.bar_seconds * _INTERRUPT_SHARE
        if self._inside and late and not self._busy():
            raise BarTimeout(f"no bar within {self.bar_seconds:g} s")


def bar_timeout_message(seconds: float, error: BarTimeout) -> str:
    """The message of a strategy that exceeded the time limit, with the line that it was executing."""
    return (
        f"limits.barSeconds: the strategy worked on one bar for more than {seconds:g} s, here:\n{strategy_trace(error)}"
    )
