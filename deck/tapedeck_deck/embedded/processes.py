"""Starting and stopping processes such that none outlives the deck, however the deck ends."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tapedeck_common.parent_death import parent_death_signal
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import UMASK, open_private

STALL_SECONDS = 60.0
START_LIMIT_SECONDS = 900.0
_OBSERVE_SECONDS = 0.5
_MIN_CPU_SHARE = 0.02  # an idle broker takes about 0.01 of a processor
_MIN_BYTES = 64 * 1024
# Where programs and files are, times and languages, and what Python and the libraries of numbers are set by. Not here:
# variables of a proxy, which can have a password. A deck's only download is that of Kafka, which comes first.
_KEPT = frozenset((
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "TZDIR", "USER", "VIRTUAL_ENV",
))  # fmt: skip
_KEPT_PREFIXES = ("LC_", "MKL_", "NUMEXPR_", "OMP_", "OPENBLAS_", "PYTHON", "XDG_")


class Process(Protocol):
    """A started process: the operations needed to watch and stop it."""

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
    user: pwd.struct_passwd | None = None,
    on_parent_death: signal.Signals | None = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with its output appended to ``log``.

    As ``user`` it has that user's ids and no other group. On Linux the kernel sends it ``on_parent_death`` when the
    thread that started it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    process: subprocess.Popen[bytes] | None = None
    try:
        with open_private(log, "ab") as output, _signals_after():
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                umask=UMASK,
                **identity(user),
                start_new_session=True,
                preexec_fn=None if on_parent_death is None else parent_death_signal(os.getpid(), on_parent_death),
            )
    except BaseException:
        if process is not None:  # the caller does not learn of it
            stop(process, grace=10)
        raise
    return process


def kept_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a deck and its processes have of the environment of the shell: no more, because that can hold secrets.

    The kernel keeps a copy of a process's first environment in its memory, and the pods are forks.
    """
    return {name: value for name, value in variables.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}


def identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments with which subprocess starts a process as a user, without the groups of this process."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _signals_after() -> Iterator[None]:
    """Run the handlers of SIGINT and SIGTERM after this block, in the main thread.

    What they raise within a fork is lost: Python runs callbacks around a fork and ignores their exceptions.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers never run in this thread
        return
    arrived: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))  # else the system acts, and nothing can be lost
    }
    for number in handlers:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for each in dict.fromkeys(arrived):
            signal.raise_signal(each)


def begin_log(log: Path) -> None:
    """Begin a log for a process that is about to start; that of the last one is kept beside it."""
    with contextlib.suppress(FileNotFoundError):
        log.rename(log.with_name(f"{log.name}.previous"))


def start_module(
    module: str, arguments: Sequence[str] = (), *, log: Path, env: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start ``python -m module``."""
    return start([sys.executable, "-m", module, *arguments], log=log, env=env, cwd=cwd)


def stop(process: Process, *, grace: float, first: signal.Signals = signal.SIGTERM) -> int:
    """Ask the process to end, kill it after ``grace`` seconds (see Deadline); returns its exit code."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(first)
    return finish(process, within=grace)


def finish(process: Process, *, within: float) -> int:
    """The exit code of a process that ends by itself; it is killed after ``within`` seconds (see Deadline)."""
    try:
        return wait_exit(process, within)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return wait_exit(process, 10)


def wait_exit(process: Process, timeout: float) -> int:
    """The exit code. Raises subprocess.TimeoutExpired after ``timeout`` seconds of an idle machine."""
    deadline = Deadline(timeout)
    while True:
        try:
            return process.wait(min(timeout, 0.5))
        except subprocess.TimeoutExpired:
            if deadline.passed():
                raise


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(ready: Callable[[], bool], *, timeout: float, poll: float = 0.05) -> bool:
    """Whether ``ready`` came true within ``timeout`` seconds of an idle machine (see Deadline)."""
    deadline = Deadline(timeout)
    while not ready():
        if deadline.passed():
            return False
        time.sleep(poll)
    return True


def wait_ready(
    name: str,
    process: Process,
    ready: Callable[[], bool],
    *,
    log: Path,
    stall: float = STALL_SECONDS,
    limit: float = START_LIMIT_SECONDS,
    poll: float = 0.05,
) -> None:
    """Wait until a process that was started is ready, as long as it makes progress.

    ``stall`` limits the time without progress, ``limit`` the whole start, both in seconds of an idle machine.
    Raises DeckError with the end of ``log`` as soon as the process exits, or after a limit.
    """

    def ended_or_ready() -> bool:
        if ready():
            return True
        if (code := process.poll()) is not None:
            raise DeckError(f"{name} exited with code {code} while starting:\n{tail(log)}")
        return False

    _wait_active(name, process, ended_or_ready, log=log, stall=stall, limit=limit, poll=poll)


def wait_finished(
    name: str,
    process: Process,
    *,
    log: Path,
    stall: float = STALL_SECONDS,
    limit: float,
    pulse: Callable[[], None] = lambda: None,
) -> int:
    """The exit code of a process that does a long piece of work; as ``wait_ready``. It is killed after a limit.

    ``pulse`` is called while waiting.
    """

    def finished() -> bool:
        pulse()
        return process.poll() is not None

    try:
        _wait_active(name, process, finished, log=log, stall=stall, limit=limit, poll=0.1)
    finally:
        code = stop(process, grace=0, first=signal.SIGKILL)
    return code


def _wait_active(
    name: str, process: Process, done: Callable[[], bool], *, log: Path, stall: float, limit: float, poll: float
) -> None:
    activity = Activity(process.pid, log, window=stall)
    stalled, over = Deadline(stall), Deadline(limit)
    while not done():
        if activity.advanced():
            stalled.restart()
        if stalled.passed():
            raise DeckError(f"{name} made no progress for {stall:.0f} s (see {log}):\n{tail(log)}")
        if over.passed():
            raise DeckError(f"{name} was not ready after {limit:.0f} s (see {log}):\n{tail(log)}")
        time.sleep(poll)


class Activity:
    """The work of a process and its descendants: CPU time, bytes written, growth of its log."""

    def __init__(self, pid: int, log: Path, *, window: float = STALL_SECONDS) -> None:
        self._pid, self._log = pid, log
        self._enough_cpu = window * _MIN_CPU_SHARE
        self._cpu, self._written, self._logged = self._observe()
        self._observed_at = time.monotonic()

    def advanced(self) -> bool:
        """Whether more was done since the last True than an idle process does in ``window`` seconds."""
        now = time.monotonic()
        if now - self._observed_at < _OBSERVE_SECONDS:
            return False
        self._observed_at = now
        cpu, written, logged = self._observe()
        if (
            logged == self._logged
            and abs(written - self._written) < _MIN_BYTES
            and abs(cpu - self._cpu) < self._enough_cpu
        ):
            return False
        self._cpu, self._written, self._logged = cpu, written, logged
        return True

    def _observe(self) -> tuple[float, int, int]:
        import psutil

        cpu, written, logged = 0.0, 0, 0
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self._pid)
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    cpu += times.user + times.system + times.children_user + times.children_system
                with contextlib.suppress(psutil.Error, AttributeError):  # another user's; not on macOS
                    written += process.io_counters().write_chars
        with contextlib.suppress(OSError):
            logged = self._log.stat().st_size
        return cpu, written, logged


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message; lines of JSON as text."""
    try:
        return "\n".join(map(_readable, path.read_text(errors="replace").splitlines()[-lines:]))
    except FileNotFoundError:
        return ""


def _readable(line: str) -> str:
    """A line of a log for people: level, event, and the reason or what else explains it."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    if not isinstance(fields, dict) or "event" not in fields:
        return line
    explained = (str(fields[name]) for name in ("reason", "message", "exception") if fields.get(name))
    return ": ".join([f"{str(fields.get('level', '')).upper()} {fields['event']}", *explained])
