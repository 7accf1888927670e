"""The supervisor of a run: its parent process, which sees how it ends whatever the strategy does to it.

``os._exit(0)`` in a strategy looks like the end of a complete run. The run therefore tells its supervisor when it
enters the strategy's code and when it leaves it (see protocol); an exit in between is the strategy's doing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tapedeck_backtest.sandbox.output import copy_output, redirect_output
from tapedeck_backtest.sandbox.protocol import StrategyActivity, SupervisorChannel, decode
from tapedeck_common.parent_death import parent_death_signal

_SIGNALLED = 128  # plus the signal's number is the exit code of a process that a signal ended, as in a shell
_OUTPUT_SECONDS = 1.0  # for the child's last output; a process that the strategy started may keep the pipe open
_KERNEL_COUNTERS = Path("/proc/vmstat")  # with the number of OOM kills, in whatever cgroup
# Signals that native code raises against its own process. SIGKILL comes from the kernel or another process.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


@dataclass(frozen=True)
class RunExit:
    """The run's process ended by itself, or by a signal that it handled; ``exit_code`` is its own or 128 + signal."""

    exit_code: int


@dataclass(frozen=True)
class StrategyExit(RunExit):
    """The process exited or crashed while the strategy's code ran.

    ``cause`` is its exit code or signal in words; ``run_ids`` are the runs of each entry into the strategy's code.
    """

    cause: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class RunKilled(RunExit):
    """SIGKILL ended the process, which could report nothing. ``message`` says who probably sent it."""

    message: str


def supervise(work: Callable[[SupervisorChannel], int], output_limit: Callable[[], int]) -> RunExit:
    """Run ``work`` in a child process, wait for its end, and return how it ended.

    ``work`` returns the child's exit code. Of what the child writes to descriptors 1 and 2, past Python's own streams,
    ``output_limit()`` bytes are kept; it is called on the first such output. SIGTERM and SIGINT are forwarded to the
    child, and the child dies with this process.
    """
    messages, channel = os.pipe()
    output, child_output = os.pipe()
    oom_kills_before = _oom_kills()
    bind_to_parent = parent_death_signal(os.getpid())
    child = os.fork()
    if child == 0:
        bind_to_parent()
        os.close(messages)
        os.close(output)
        redirect_output(child_output)
        sys.exit(work(SupervisorChannel(channel)))
    os.close(channel)
    os.close(child_output)
    copying = threading.Thread(target=copy_output, args=(output, output_limit), name="output", daemon=True)
    copying.start()
    _forward_signals(child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    copying.join(_OUTPUT_SECONDS)
    activity = decode(_read_available(messages))
    return _classify(code, activity, oom_kills_before)


def _forward_signals(child: int) -> None:
    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)


def _read_available(pipe: int) -> bytes:
    """All that was written. Never waits: a process that the strategy left behind may hold the other end."""
    os.set_blocking(pipe, False)
    received = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(pipe, 65_536):
            received += part
    return received


def _classify(code: int, activity: StrategyActivity, oom_kills_before: int | None) -> RunExit:
    """``code`` is the exit code, or the signal's number below 0."""
    exit_code = code if code >= 0 else _SIGNALLED - code
    if activity.running and (code >= 0 or -code in _CRASHES):
        cause = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return StrategyExit(exit_code, cause, activity.run_ids)
    if code == -signal.SIGKILL:
        return RunKilled(exit_code, _kill_message(oom_kills_before, _oom_kills(), in_strategy=activity.running))
    return RunExit(exit_code)


def _oom_kills() -> int | None:
    """The number of processes that the kernel OOM-killed since boot; None if it does not report it."""
    try:
        lines = _KERNEL_COUNTERS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _kill_message(before: int | None, after: int | None, *, in_strategy: bool) -> str:
    text = "SIGKILL ended the run's process" + (" while the strategy's code ran" if in_strategy else "")
    if before is None or after is None:
        return text
    if after > before:
        return f"{text}; meanwhile the kernel OOM-killed {after - before} processes: raise resources.limits.memory"
    sender = "the strategy or another process" if in_strategy else "another process"
    return f"{text}; not an OOM kill (the kernel counted none): the signal came from {sender}"
