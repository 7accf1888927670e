"""How often the kernel has killed a process because memory was missing. Such a process cannot tell so itself."""

from __future__ import annotations

from pathlib import Path

_KERNEL_COUNTERS = Path("/proc/vmstat")


def oom_kills() -> int | None:
    """The number of processes that the kernel OOM-killed since boot, in whatever cgroup; None if it does not tell."""
    try:
        lines = _KERNEL_COUNTERS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
