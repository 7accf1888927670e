"""Memory of a long replay.

``replay-memory-growth``: the peak resident memory of a pod that plays 4,000,000 bars from the store unpaced, compared
with that for 200,000 bars; MB.
"""

from __future__ import annotations

from bench.figures import Figure, against, alternate
from bench.peak_memory import peak_memory
from bench.replay_environment import SYMBOLS, BenchEnvironment, bench_environment, scaled

LARGE, SMALL, RUNS = scaled(4_000_000), scaled(200_000), 3


def run() -> list[Figure]:
    """The figure, with a broker and a database of its own."""
    with bench_environment() as services:
        services.fill("large", LARGE, SYMBOLS)
        services.fill("small", SMALL, SYMBOLS)
        values, references = alternate(lambda: _peak(services, "large"), lambda: _peak(services, "small"), RUNS)
        return [against("replay-memory-growth", values, references, "MB")]


def _peak(services: BenchEnvironment, exchange: str) -> float:
    replay = services.replay(exchange)
    replay.begin(unpaced=True)
    assert replay.process is not None
    peak = peak_memory(replay.process, "the replay", 300)
    if replay.wait() != 0:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    return peak
