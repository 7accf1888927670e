"""Memory limit: an allocation beyond it raises MemoryError in the strategy, with a traceback, before an OOM kill."""

from __future__ import annotations

import resource
from pathlib import Path

from tapedeck_common.logs import log

SHARE_OF_FREE = 0.9
_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def limit_memory(limit: str | None) -> None:
    """Let allocations beyond ``limit`` (a Kubernetes quantity), or beyond the free memory, raise MemoryError."""
    free = _free_bytes()
    bytes_ = min(filter(None, (parse_quantity(limit) if limit else 0, int(free * SHARE_OF_FREE))), default=0)
    if bytes_:
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        log.info("memory limited", bytes=bytes_)


def lift_memory_limit() -> None:
    """Allow the run to allocate memory for reporting that the limit was exceeded."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def parse_quantity(text: str) -> int:
    """A Kubernetes quantity, such as 512Mi or 2G, in bytes."""
    digits = text.rstrip("mkMGTPEi")
    return int(float(digits) * _UNITS[text[len(digits) :]])


def _free_bytes() -> int:
    """Memory that the kernel could hand out now; 0 if it does not report it."""
    try:
        with Path("/proc/meminfo").open() as lines:
            fields = dict(line.split(":", 1) for line in lines)
    except OSError:
        return 0
    return int(fields.get("MemAvailable", "0 kB").split()[0]) * 1024
