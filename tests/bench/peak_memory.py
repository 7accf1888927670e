"""The peak memory of a pod until it ends by itself."""

from __future__ import annotations

import psutil

from pods.replay import wait_for
from tapedeck_deck.embedded.processes import Process


def peak_memory(process: Process, what: str, timeout: float) -> float:
    """The peak resident memory of a process until its end, MB. ``what`` ends then; ``timeout`` is in seconds."""
    pod, peak = psutil.Process(process.pid), 0

    def ended() -> bool:
        nonlocal peak
        try:
            peak = max(peak, pod.memory_info().rss)
        except psutil.NoSuchProcess:
            return True
        return process.poll() is not None

    wait_for(ended, f"end of {what}", timeout)
    return peak / 1e6
