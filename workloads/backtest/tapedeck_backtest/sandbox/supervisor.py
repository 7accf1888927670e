"""The process above a run's own: it sees how that ends, whatever a strategy does to it.

``os._exit(0)`` looks like a run that is over. So the run says when it enters a strategy's code and when it leaves it,
and an end in between is the strategy's doing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from tapedeck_backtest.sandbox.output import lead_into, pass_on
from tapedeck_common.parent_death import die_with

Mark = Callable[[str | None], None]
"""Told the id of the run whose strategy's code is entered, and None when it is left."""
_INSIDE, _OUTSIDE = b"[", b"]"
_SIGNALLED = 128
_LAST_WORDS_SECONDS = 1.0  # for what the child wrote last; one that it started may hold the pipe for ever
_KERNEL = Path("/proc/vmstat")  # counts the processes that it ended for want of memory, in whatever cgroup
# What a process does to itself, in code that is no Python. SIGKILL may be the kernel's, or come from without.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def above(
    work: Callable[[Mark], int],
    ended: Callable[[str, Sequence[str]], int],
    killed: Callable[[str], None],
    room: Callable[[], int],
) -> int:
    """Do ``work`` in a child and return its exit code; 128 and the signal's number where one ended it.

    Where the child exits or crashes while the code of a strategy runs, the code is that of ``ended``, which is told
    how, and of which run that code was each time it was entered. ``killed`` is told what is known of a SIGKILL, which
    leaves the child no last word. Of what the child writes past Python's streams ``room()`` bytes are kept. SIGTERM
    and SIGINT go to the child, which dies with this process.
    """
    read, write = os.pipe()
    printed, output = os.pipe()
    before = _for_want_of_memory()
    end_with_me = die_with(os.getpid())
    child = os.fork()
    if child == 0:
        end_with_me()
        os.close(read)
        os.close(printed)
        lead_into(output)
        return work(lambda run: _say(write, run))
    os.close(write)
    os.close(output)
    passing = threading.Thread(target=pass_on, args=(printed, room), name="output", daemon=True)
    passing.start()

    def hand_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    passing.join(_LAST_WORDS_SECONDS)
    os.set_blocking(read, False)  # a process that the strategy left behind may hold the other end
    said = _said(read)
    inside = bool(said) and not said.endswith(_OUTSIDE)
    if inside and (code >= 0 or -code in _CRASHES):
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return ended(how, [run.rstrip(_OUTSIDE).decode() for run in said.split(_INSIDE)[1:]])
    if code == -signal.SIGKILL:
        killed(_of_kill(before, _for_want_of_memory(), inside=inside))
    return code if code >= 0 else _SIGNALLED - code


def _for_want_of_memory() -> int | None:
    """How many processes the kernel ended for it since it started; None where it does not say."""
    try:
        lines = _KERNEL.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _of_kill(before: int | None, after: int | None, *, inside: bool) -> str:
    told = "SIGKILL ended the run's process" + (" while the strategy's code ran" if inside else "")
    if before is None or after is None:
        return told
    if after > before:
        return f"{told}; meanwhile the kernel ended {after - before} processes for want of memory"
    by = "the strategy or someone outside" if inside else "someone outside"
    return f"{told}, not for want of memory (the kernel ended no process for that): it was sent by {by}"


def _say(write: int, run: str | None) -> None:
    os.write(write, _OUTSIDE if run is None else _INSIDE + run.encode())


def _said(read: int) -> bytes:
    said = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(read, 65_536):
            said += part
    return said
