"""What a long range costs in memory.

``replay-memory-growth``: the most that a pod takes while it plays 4,000,000 bars from the store as fast as it goes,
beside the most for 200,000; MB of resident memory.
"""

from __future__ import annotations

import psutil

from bench.figures import Figure, against, alternate
from bench.replay_bed import SYMBOLS, Bed, bed, scaled
from pods.replay import wait_for

LARGE, SMALL, RUNS = scaled(4_000_000), scaled(200_000), 3


def run() -> list[Figure]:
    """The figure, on a broker and a database of its own."""
    with bed() as services:
        services.fill("large", LARGE, SYMBOLS)
        services.fill("small", SMALL, SYMBOLS)
        values, references = alternate(lambda: _peak(services, "large"), lambda: _peak(services, "small"), RUNS)
        return [against("replay-memory-growth", values, references, "MB")]


def _peak(services: Bed, exchange: str) -> float:
    replay = services.replay(exchange)
    replay.begin(unpaced=True)
    assert replay.process is not None
    pod, most = psutil.Process(replay.process.pid), 0

    def over() -> bool:
        nonlocal most
        try:
            most = max(most, pod.memory_info().rss)
        except psutil.NoSuchProcess:
            return True
        return replay.process is not None and replay.process.poll() is not None

    wait_for(over, "end of the replay", 300)
    if replay.wait() != 0:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    return most / 1e6
