"""What metrics cost: CPU of a pod whose /metrics is requested every second, compared with the same without metrics.

``observability-cost-replay``: an unpaced replay of the store, as ``replay-unpaced``.
``observability-cost-ingest``: the recorder writes bars into an empty table, as ``ingest``.
The reference is the same program with counters that count nothing, and no request.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from bench import ingest
from bench.figures import Figure, against, alternate
from bench.replay_environment import SYMBOLS, bench_environment, scaled
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.processes import Process

BARS = scaled(2_000_000)
RUNS = int(os.environ.get("TAPEDECK_BENCH_RUNS", "11"))
SCRAPE_SECONDS = 1.0
TESTS = Path(__file__).parents[1]


def run() -> Iterator[Figure]:
    """Both figures, in seconds of CPU of one run, its start included."""
    with bench_environment() as services:
        services.fill("x", BARS, SYMBOLS)
        services.unpaced("x", BARS)  # warms broker and database up
        yield _compared("observability-cost-replay", lambda launch: services.unpaced("x", BARS, launch))
    with tempfile.TemporaryDirectory(prefix="tapedeck-bench-") as name, ingest.services(Path(name)) as bench:
        yield _compared("observability-cost-ingest", lambda launch: bench.record(rev=0, empty=True, launch=launch))


def _compared(name: str, work: Callable[[Start], object]) -> Figure:
    values, references = alternate(lambda: _observed(work), lambda: _cpu_seconds(lambda: work(_without_metrics)), RUNS)
    return against(name, values, references, "s")


def _observed(work: Callable[[Start], object]) -> float:
    with _scraped() as launch:
        return _cpu_seconds(lambda: work(launch))


def _cpu_seconds(work: Callable[[], object]) -> float:
    """Of the pods that ended meanwhile; broker and database run on."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _without_metrics(module: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> Process:
    environment = {**env, "PYTHONPATH": str(TESTS)}
    return processes.start_module("bench.unobserved", [module, *arguments], log=log, env=environment, cwd=cwd)


@contextlib.contextmanager
def _scraped() -> Iterator[Start]:
    """Starts a pod and requests its metrics until the block ends. Raises RuntimeError if it never answered."""
    ended, answers = threading.Event(), []
    threads: list[threading.Thread] = []

    def scrape(port_file: Path) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not ended.wait(SCRAPE_SECONDS):
                with contextlib.suppress(OSError, ValueError, httpx.TransportError):  # it starts, or has ended
                    answer = client.get(f"http://127.0.0.1:{int(port_file.read_text())}/metrics")
                    answers.append(answer.raise_for_status().text)

    def launch(module: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> Process:
        process = processes.start_module(module, arguments, log=log, env=env, cwd=cwd)
        threads.append(threading.Thread(target=scrape, args=[Path(env["TAPEDECK_PORT_FILE"])], daemon=True))
        threads[-1].start()
        return process

    try:
        yield launch
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if not any("tapedeck_build_info" in answer for answer in answers):
        raise RuntimeError("the pod answered no request for its metrics")
