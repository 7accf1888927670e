"""Memory limit: an allocation beyond it raises MemoryError in the strategy, with a traceback, before an OOM kill."""

from __future__ import annotations

import resource
from pathlib import Path

from tapedeck_crds.pod import parse_quantity

SHARE_OF_FREE = 0.9


def memory_limit(limit: str | None) -> int | None:
    """The lesser of ``limit`` (a Kubernetes quantity) and most of the free memory, in bytes; None if none is known."""
    free = _free_bytes()
    known = (int(parse_quantity(limit)) if limit else 0, int(free * SHARE_OF_FREE))
    return min(filter(None, known), default=None)


def lift_memory_limit() -> None:
    """Allow the run to allocate memory for reporting that the limit was exceeded."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _free_bytes() -> int:
    """Memory that the kernel could hand out now; 0 if it does not report it."""
    try:
        with Path("/proc/meminfo").open() as lines:
            fields = dict(line.split(":", 1) for line in lines)
    except OSError:
        return 0
    return int(fields.get("MemAvailable", "0 kB").split()[0]) * 1024
