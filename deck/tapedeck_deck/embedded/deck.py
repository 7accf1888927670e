"""Starting and stopping a deck: in this process, or as a daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import structlog

from tapedeck_common.logs import configure_logging
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import jars, processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import UMASK
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.interruption import Interruption

log = structlog.get_logger()

DESCRIPTORS = 65_536
METRICS_OPTION, TRACES_OPTION = "--metrics", "--traces="
STALL_SECONDS = 120.0  # longer than the waits inside, so that those give the reason


def run_foreground(
    state_dir: StateDir, port: int = 0, origins: Sequence[str] = (), *, metrics: bool = False, traces: str = ""
) -> None:
    """Run a deck in this process until SIGINT or SIGTERM; pages of ``origins`` may ask its gateway, too.

    With ``metrics`` a Prometheus runs beside it, and with ``traces`` its pods export traces to this URL. Raises
    DeckError if it cannot start.
    """
    os.umask(UMASK)
    _allow_descriptors()
    state_dir.prepare()
    configure_logging("info", {"workload": "deck"}, sys.stdout)
    from tapedeck_deck.embedded.embedded_cluster import (
        EmbeddedCluster,  # its imports are heavy, and clients of the daemon need none
    )

    cluster = EmbeddedCluster(state_dir, port, origins, metrics=metrics, traces=traces)

    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not cluster.request_stop():
            interrupted = True
            raise Interruption  # ``start`` still blocks

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        jars.prefetch(lambda _: None)  # it may need variables of the shell, such as a proxy
        _keep_environment()
        cluster.start()
        asyncio.run(cluster.run())
    except BaseException:
        if not interrupted:  # else it may be what a library made of the interruption
            raise
        log.info("stopped while starting")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cluster.stop()


def _keep_environment() -> None:
    """From now on processes that this one starts have nothing else of the shell's environment."""
    kept = processes.kept_environment(os.environ)
    for name in os.environ.keys() - kept.keys():
        del os.environ[name]


def _allow_descriptors() -> None:
    """Raise the limit of open files as far as this user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def start_background(
    state_dir: StateDir,
    port: int = 0,
    *,
    origins: Sequence[str] = (),
    metrics: bool = False,
    traces: str = "",
    timeout: float | None = None,
    on_awaited: Callable[[str], None] = lambda _: None,
    die_with_caller: bool = False,
) -> Json:
    """Start a deck as a daemon and wait until it is ready; returns its deck file.

    It waits while the deck lives and makes progress, at most ``timeout`` seconds. ``on_awaited`` is called with what
    the deck waits for whenever that changes. Raises DeckError, and stops the deck, where it does not become ready.
    """
    state_dir.prepare()
    if state_dir.locked():
        raise DeckError(f"a deck already runs in {state_dir.root}: `tapedeck down` stops it")
    # Here, where no timeout counts: the first download takes as long as the network needs.
    jars.prefetch(lambda size: on_awaited(f"the download of Kafka {jars.KAFKA} ({size / 2**20:.0f} MiB)"))
    state_dir.deck_file.unlink(missing_ok=True)
    state_dir.awaited_file.unlink(missing_ok=True)
    processes.begin_log(state_dir.deck_log)
    process = processes.start(
        [
            *(sys.executable, "-m", "tapedeck_deck.embedded", str(state_dir.root), str(port)),
            *([METRICS_OPTION] if metrics else []),
            *([f"{TRACES_OPTION}{traces}"] if traces else []),
            *origins,
        ],
        log=state_dir.deck_log,
        env=processes.kept_environment(os.environ),
        on_parent_death=signal.SIGTERM if die_with_caller else None,
    )

    facts: Json = {}
    awaited = ""
    began = time.monotonic()

    def ready() -> bool:
        if process.poll() is not None:
            raise DeckError(_error_line(state_dir.deck_log))
        nonlocal awaited
        if (now := state_dir.awaited()) not in ("", awaited):
            awaited = now
            on_awaited(now)
        if timeout is not None and time.monotonic() - began > timeout:
            waits = f"it waits for {awaited}" if awaited else "it loads its programs"
            raise DeckError(f"--timeout: the deck is not ready after {timeout:g} s: {waits}; allow more time")
        facts.update(state_dir.running() or {})
        return bool(facts)

    try:
        processes.wait_ready("the deck", process, ready, log=state_dir.deck_log, stall=STALL_SECONDS)
    except BaseException:
        processes.stop(process, grace=30)
        raise
    return facts


def stop(state_dir: StateDir, timeout: float = 60.0) -> bool:
    """Stop the deck of a state directory, also one that starts; False if there is none.

    Raises DeckError if it does not stop in time.
    """
    pid = state_dir.holder()
    if pid is None:
        _remove_temporary_files(state_dir)
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not processes.wait_until(lambda: not state_dir.locked() and processes.ended(pid), timeout=timeout):
        raise DeckError(f"the deck (pid {pid}) did not stop in {timeout:.0f} s: see {state_dir.deck_log}")
    return True


def _remove_temporary_files(state_dir: StateDir) -> None:
    """Remove what a deck that was killed left in the system's temporary directory."""
    if state_dir.database.exists() and not state_dir.locked():
        from tapedeck_deck.embedded.postgres import Postgres  # its imports are heavy

        Postgres(state_dir.database).remove_sockets()


def _error_line(path: Path) -> str:
    lines = processes.tail(path, 30).splitlines()
    return next((line for line in reversed(lines) if line.startswith("error: ")), "\n".join(lines[-10:])).removeprefix(
        "error: "
    )
