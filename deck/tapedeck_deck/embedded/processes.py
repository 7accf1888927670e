"""Starting and ending processes so that none is left behind, whatever ends the deck."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tapedeck_common.parent_death import die_with


class Process(Protocol):
    """What has been started, as far as it is watched and ended."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    on_parent_death: signal.Signals | None = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to ``log``.

    On Linux the kernel sends it ``on_parent_death`` when the thread that started it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            user=user,
            start_new_session=True,
            preexec_fn=None if on_parent_death is None else die_with(os.getpid(), on_parent_death),
        )


def start_module(
    module: str, arguments: Sequence[str] = (), *, log: Path, env: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start ``python -m module``."""
    return start([sys.executable, "-m", module, *arguments], log=log, env=env, cwd=cwd)


def stop(process: Process, *, grace: float, first: signal.Signals = signal.SIGTERM) -> int:
    """Ask the process to end, kill it after ``grace`` seconds; returns its exit code."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(first)
    try:
        return process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return process.wait(timeout=10)


def finish(process: Process, *, within: float) -> int:
    """The exit code of a process that ends by itself; it is killed where it does not in ``within`` seconds."""
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(10)


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(ready: Callable[[], bool], *, timeout: float, poll: float = 0.05) -> bool:
    """Whether ``ready`` came true within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll)
    return True


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
