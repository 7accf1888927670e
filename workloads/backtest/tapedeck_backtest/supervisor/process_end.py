"""How the strategy's process ended, in words."""

from __future__ import annotations

import signal

from tapedeck_backtest.errors import RunFailed, StrategyKilled
from tapedeck_common.oom_kills import oom_kills
from tapedeck_crds.errors import TapedeckError


def end_of_process(code: int, *, armed: bool, oom_kills_before: int | None) -> TapedeckError:
    """The error for a process that ended before its work: ``code`` is its exit code, or below 0 the signal's number.

    Once it was ``armed``, foreign code may have ended it.
    """
    if code == -signal.SIGKILL:
        return StrategyKilled(_kill_message(oom_kills_before, oom_kills()))
    cause = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    if armed:
        return RunFailed(
            "StrategyExited", f"the strategy ended the process ({cause}) before the run was complete; see the pod's log"
        )
    return RunFailed("InternalError", f"the strategy's process ended ({cause}) before it loaded any code")


def _kill_message(before: int | None, after: int | None) -> str:
    text = "SIGKILL ended the strategy's process"
    if before is None or after is None:
        return text
    if after > before:
        return f"{text}; meanwhile the kernel OOM-killed {after - before} processes: raise resources.limits.memory"
    return f"{text}; not an OOM kill (the kernel counted none): the strategy or another process sent the signal"
