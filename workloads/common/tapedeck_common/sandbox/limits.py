"""Limits of amounts that the kernel keeps for a process."""

from __future__ import annotations

import resource
import sys

from tapedeck_common.sandbox.policy import SandboxPolicy

_USER_PROCESSES = 4096  # of the whole user, threads included; not kept for root


def set_limits(policy: SandboxPolicy) -> None:
    """Set the process's limits, soft and hard: it cannot raise them again.

    Memory beyond the limit raises MemoryError; the hard limit of memory stays, so that the process can report that.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, policy.file_bytes)
    _limit(resource.RLIMIT_NOFILE, policy.open_files)
    _limit(resource.RLIMIT_NPROC, _USER_PROCESSES)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_MSGQUEUE, 0)
    if policy.cpu_seconds is not None:
        _limit(resource.RLIMIT_CPU, policy.cpu_seconds)
    if policy.memory_bytes is not None:
        _soft_limit(resource.RLIMIT_DATA, policy.memory_bytes)


def _limit(which: int, amount: int) -> None:
    hard = resource.getrlimit(which)[1]
    bounded = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(which, (bounded, bounded))


def _soft_limit(which: int, amount: int) -> None:
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
