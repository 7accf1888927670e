"""The processes of a deck: memory, and the share of a processor since the last look."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

DECK, BROKER, DATABASE, PROMETHEUS = "deck", "broker", "database", "prometheus"
_BROKER_CLASS = "kafka.Kafka"


@dataclass
class ProcessUse:
    """A part of the deck with all its processes. ``cpu_ratio`` is 1 for a whole processor, None at the first look."""

    name: str
    pid: int
    processes: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    cpu_ratio: float | None = None


@dataclass
class ProcessMeter:
    """Looks at the processes below the daemon; remembers the last look."""

    daemon: int
    _last: dict[int, tuple[float, float]] = field(default_factory=dict)  # by pid: when, and CPU seconds

    def look(self, pods: Mapping[int, str]) -> list[ProcessUse]:
        """Each part by name, the deck's own first; ``pods`` maps the pids of pods to their names."""
        import psutil

        found: dict[str, ProcessUse] = {}
        try:
            daemon = psutil.Process(self.daemon)
            family = [daemon, *daemon.children(recursive=True)]
        except psutil.Error:
            return []
        roots = self._roots(family, pods)
        for process in family:
            name, pid = roots[process.pid]
            use = found.setdefault(name, ProcessUse(name, pid))
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                use.memory_bytes += _memory(process)
                use.cpu_seconds += times.user + times.system
                use.processes += 1
        for use in found.values():
            self._rate(use)
        order = {name: number for number, name in enumerate((DECK, BROKER, DATABASE, PROMETHEUS))}
        return sorted(found.values(), key=lambda use: (order.get(use.name, len(order)), use.name))

    def _roots(self, family: list[psutil.Process], pods: Mapping[int, str]) -> dict[int, tuple[str, int]]:
        """The part of each process: that of its nearest ancestor, itself included, that is one."""
        roots: dict[int, tuple[str, int]] = {self.daemon: (DECK, self.daemon)}
        for process in family:  # parents come before their children
            own = pods.get(process.pid) or _service(process)
            roots[process.pid] = (own, process.pid) if own else roots.get(_parent(process), (DECK, self.daemon))
        return roots

    def _rate(self, use: ProcessUse) -> None:
        now = time.monotonic()
        before = self._last.get(use.pid)
        if before is not None and now > before[0]:
            use.cpu_ratio = max(use.cpu_seconds - before[1], 0.0) / (now - before[0])
        self._last[use.pid] = (now, use.cpu_seconds)


def _service(process: psutil.Process) -> str:
    """Which of the deck's servers a process is; empty for others. Postgres' backends belong to their postmaster."""
    import psutil

    with contextlib.suppress(psutil.Error):
        name = process.name()
        if name == "postgres":
            parent = process.parent()
            return "" if parent is not None and parent.name() == "postgres" else DATABASE
        if name == PROMETHEUS:
            return PROMETHEUS
        if name == "java" and _BROKER_CLASS in process.cmdline():
            return BROKER
    return ""


def _parent(process: psutil.Process) -> int:
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(process.ppid())
    return 0


def _memory(process: psutil.Process) -> int:
    """Bytes, of what it shares with others its part: forks of one process share most of theirs."""
    import psutil

    with contextlib.suppress(psutil.Error, AttributeError):
        return int(process.memory_full_info().pss)  # Linux
    return int(process.memory_info().rss)
