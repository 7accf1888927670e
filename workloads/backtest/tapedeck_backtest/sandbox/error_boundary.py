"""Around the strategy's code: whatever that raises comes out as an end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.trace import strategy_trace
from tapedeck_backtest.sandbox.watchdog import Guard, TooLong, lift_memory_limit
from tapedeck_crds.errors import Interrupted, Unavailable


@contextmanager
def foreign(guard: Guard, pulse: Callable[[], None]) -> Iterator[None]:
    """Raises RunFailed (TimeLimit, MemoryLimit, StrategyError) with the strategy's own lines.

    What is ours passes: RunFailed, Unavailable, psycopg.Error, and Interrupted, which ``pulse`` raises when the pod is
    asked to end.
    """
    try:
        with guard.watching():
            yield
    except (RunFailed, Interrupted, Unavailable, psycopg.Error):
        raise
    except TooLong as error:
        pulse()
        raise RunFailed("TimeLimit", too_long(guard.seconds, error)) from error
    except MemoryError as error:
        lift_memory_limit()
        raise RunFailed("MemoryLimit", f"resources.limits.memory:\n{strategy_trace(error)}") from error
    except BaseException as error:
        raise RunFailed("StrategyError", strategy_trace(error)) from error


def too_long(seconds: float, error: TooLong) -> str:
    """What is told of a strategy that was ended on a bar, with the line that it was at."""
    return f"limits.barSeconds: the strategy worked on one bar for {seconds:g} s, here:\n{strategy_trace(error)}"
