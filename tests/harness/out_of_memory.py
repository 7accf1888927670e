"""A process that the kernel kills because memory is missing, as in a pod at its limit."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from waits import eventually

# Version 1 and 2; the first limit of each is that of memory alone, the second also of what is swapped.
HIERARCHIES = {
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    Path("/sys/fs/cgroup"): ("memory.max", "memory.swap.max"),
}
LIMIT = "4096"


@contextmanager
def out_of_memory(pid: int) -> Iterator[bool]:
    """Move a process to a cgroup that has no memory left: the kernel kills it when it next takes some.

    The block does what makes it take some. Where this user may not make a cgroup, SIGKILL stands for the kernel's, and
    the value is False.
    """
    group = _group()
    if group is None:
        os.kill(pid, signal.SIGKILL)
        yield False
        return
    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield True
        eventually(lambda: not (group / "cgroup.procs").read_text(), what=f"the OOM kill of process {pid}")
    finally:
        _dissolve(group)


def _group() -> Path | None:
    """A new cgroup without memory; None where none can be made."""
    for hierarchy, (memory, swap) in HIERARCHIES.items():
        group = hierarchy / f"tapedeck-test-{uuid.uuid4().hex[:8]}"
        with suppress(OSError):
            group.mkdir()
            if (group / memory).exists():
                (group / memory).write_text(LIMIT)
                with suppress(OSError):  # a kernel that does not account for swap
                    (group / swap).write_text(LIMIT if memory.endswith("in_bytes") else "0")
                return group
            group.rmdir()
    return None


def _dissolve(group: Path) -> None:
    """Remove a cgroup, of which a process may be left where a test failed."""
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(OSError):
            (group.parent / "cgroup.procs").write_text(pid)
    eventually(lambda: _removed(group), what=f"the end of {group}")


def _removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()
