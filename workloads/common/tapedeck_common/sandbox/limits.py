"""Limits of amounts that the kernel keeps for a process."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from tapedeck_common.sandbox.policy import MIB, SandboxPolicy

REPORT_BYTES = 128 * MIB
"""Memory beyond the limit that the process can allow itself, to report that it has met the limit."""
_OOM_SCORE, _FIRST_VICTIM = Path("/proc/self/oom_score_adj"), "1000"
_USER_PROCESSES = 4096  # of the whole user, threads included; not kept for root


def set_limits(policy: SandboxPolicy) -> None:
    """Set the process's limits, soft and hard: it cannot raise them again, but that of memory by REPORT_BYTES.

    Memory beyond the limit raises MemoryError.
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
        _limit(resource.RLIMIT_DATA, policy.memory_bytes, margin=REPORT_BYTES)


def offer_to_oom_killer() -> None:
    """Where memory runs out, the kernel ends this process before others: before its pod, which reports the end."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may have a /proc that cannot be written
            _OOM_SCORE.write_text(_FIRST_VICTIM)


def _limit(which: int, amount: int, *, margin: int = 0) -> None:
    """The hard limit is ``margin`` above the soft one."""
    hard = resource.getrlimit(which)[1]
    soft, most = (each if hard == resource.RLIM_INFINITY else min(each, hard) for each in (amount, amount + margin))
    resource.setrlimit(which, (soft, most))
