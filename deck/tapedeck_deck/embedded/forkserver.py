"""Starts pods as forks of a process that has imported the packages that all workloads share.

The imports take half a second of a core; a fork takes milliseconds and shares their memory until it writes to it. Each
fork runs in a session of its own and has the environment of its pod only: what the server was started with is
overwritten, because a pod's foreign code reads its own memory.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tapedeck_common.parent_death import parent_death_signal
from tapedeck_common.sandbox.privileges import erase_environment
from tapedeck_deck.embedded.private_files import FILE, open_private

# Only modules without side effects: an import that registers metrics would add them to every workload.
SHARED = (
    "backtrader", "confluent_kafka.admin", "msgspec", "numpy", "prometheus_client", "psycopg", "psycopg.types.json",
    "psycopg_pool", "stamina", "starlette.applications", "structlog", "uvicorn", "uvicorn.protocols.http.h11_impl",
    "tapedeck_common.kafka", "tapedeck_common.logs", "tapedeck_common.pod.shell", "tapedeck_common.records",
    "tapedeck_common.settings", "tapedeck_common.wire",
    "tapedeck_crds.backtest", "tapedeck_crds.feed", "tapedeck_crds.replay", "tapedeck_crds.report",
)  # fmt: skip
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(SHARED))


@dataclass(frozen=True)
class ForkedModule:
    """A running module, with the part of the interface of ``subprocess.Popen`` that its owner needs."""

    _process: ForkServerProcess

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable once the module has ended."""
        return self._process.sentinel

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the next ``poll`` says so
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def prepare() -> None:
    """Start the imports, so that the first ``start`` does not wait for them."""
    forkserver.ensure_running()


def start(
    module: str, arguments: Sequence[str] = (), *, log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> ForkedModule:
    """Run a module as ``python -m`` does, with its output appended to ``log``. It ends with the starting process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    open_private(log, "ab").close()
    call = (module, list(arguments), str(log), dict(env), str(cwd or Path.cwd()))
    # A daemon: this process does not wait for it at exit.
    process = _context.Process(target=_run, args=call, daemon=True)
    process.start()
    return ForkedModule(process)


def _run(module: str, arguments: list[str], log: str, env: dict[str, str], cwd: str) -> None:
    parent_death_signal(os.getppid())()  # the parent is the fork server
    threading.Thread(target=_end_with_starter, name="starter", daemon=True).start()
    os.setsid()
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, FILE)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (open as long as the process)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", write_through=True)  # type: ignore[union-attr]
    erase_environment()
    os.environ.update(env)
    os.chdir(cwd)
    multiprocessing.current_process().daemon = False  # it may start children
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_starter() -> None:
    starter = multiprocessing.parent_process()
    assert starter is not None
    starter.join()
    os.kill(os.getpid(), signal.SIGKILL)
