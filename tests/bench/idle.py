"""What a deck costs on which nothing runs.

``idle-cpu``: processor time of all its processes, % of a core. ``idle-memory``: their proportional set size, MB.
``idle-cpu-2000``: the same time with 2,000 finished runs, and ``idle-get-2000``: `tapedeck get all` then, in seconds.
``idle-start-2000``: the start of that deck, in seconds.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path

import psutil
import yaml

from bench.figures import Figure
from decks.process import apply, reaches, running_deck
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

RUNS = 2_000
SETTLE_SECONDS = 20  # a deck that has just started loads the last of its programs
WINDOW_SECONDS, WINDOWS = 15, 3
GET_RUNS = 3
RUN_TIMEOUT = 120
EXAMPLES = Path(__file__).parents[2] / "examples"
BACKTEST: Json = {
    "strategy": {"builtin": "sma-cross"},
    "data": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}},
}
_FINISHED = ("Backtest", "sma-cross-once")
_OF_RUN = """\
WITH RECURSIVE family (uid) AS (
  SELECT uid FROM objects WHERE kind = ? AND name = ?
  UNION SELECT child FROM owners JOIN family ON owners.owner = family.uid)
SELECT uid, kind, namespace, name, document FROM objects JOIN family USING (uid)
"""


def run() -> list[Figure]:
    """The figures, of one deck that is started twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "deck"
        with running_deck(folder) as (home, _, objects):
            empty = _cpu_and_memory(home)
            _finish_one_run(objects)
        _copy_run(home.objects, RUNS)
        began = time.perf_counter()
        with running_deck(folder) as (home, _, _):
            started = time.perf_counter() - began
            full = _cpu_and_memory(home)
            listed = statistics.median(_get_all(home) for _ in range(GET_RUNS))
    return [
        Figure("idle-cpu", empty[0], "%"),
        Figure("idle-memory", empty[1], "MB"),
        Figure("idle-cpu-2000", full[0], "%"),
        Figure("idle-memory-2000", full[1], "MB"),
        Figure("idle-get-2000", listed, "s"),
        Figure("idle-start-2000", started, "s"),
    ]


def _cpu_and_memory(home: StateDir) -> tuple[float, float]:
    """Processor time of a deck's processes in % of a core, the median of some windows, and their memory in MB."""
    time.sleep(SETTLE_SECONDS)
    return statistics.median(_cpu(home) for _ in range(WINDOWS)), sum(map(_proportional_set, _processes(home))) / 1e6


def _processes(home: StateDir) -> list[psutil.Process]:
    running = home.running()
    if running is None:
        raise RuntimeError(f"the deck in {home.root} does not run")
    daemon = psutil.Process(running["pid"])
    return [daemon, *daemon.children(recursive=True)]


def _cpu(home: StateDir) -> float:
    before = {process: sum(process.cpu_times()[:2]) for process in _processes(home)}
    began = time.perf_counter()
    time.sleep(WINDOW_SECONDS)
    used = sum(sum(process.cpu_times()[:2]) - spent for process, spent in before.items())
    return 100 * used / (time.perf_counter() - began)


def _proportional_set(process: psutil.Process) -> int:
    """Bytes of memory, what several processes share divided among them."""
    return int(process.memory_full_info().pss)


def _finish_one_run(objects: Objects) -> None:
    """Import the samples, and run one Backtest over them to its end."""
    feed = yaml.safe_load((EXAMPLES / "feed.yaml").read_text())
    apply(objects, "Feed", feed["metadata"]["name"], feed["spec"], EXAMPLES)
    reaches(objects, "Feed", feed["metadata"]["name"], "Complete", timeout=RUN_TIMEOUT)
    kind, name = _FINISHED
    apply(objects, kind, name, BACKTEST)
    reaches(objects, kind, name, "Complete", timeout=RUN_TIMEOUT)


def _copy_run(file: Path, count: int) -> None:
    """Copy the finished run and all that it owns under other names, in the file of a deck that does not run."""
    with closing(sqlite3.connect(file)) as connection, connection:
        found = connection.execute(_OF_RUN, _FINISHED).fetchall()
        owners = connection.execute("SELECT owner, child FROM owners").fetchall()
        for number in range(count):
            copies = {uid: str(uuid.uuid4()) for uid, *_ in found}
            for uid, kind, namespace, name, document in found:
                copied = document.replace(_FINISHED[1], f"run-{number}")
                for old, new in copies.items():
                    copied = copied.replace(old, new)
                values = (copies[uid], kind, namespace, name.replace(_FINISHED[1], f"run-{number}"), copied)
                connection.execute(
                    "INSERT INTO objects (uid, kind, namespace, name, document) VALUES (?, ?, ?, ?, ?)", values
                )
            family = [(copies[a], copies[b]) for a, b in owners if a in copies and b in copies]
            connection.executemany("INSERT INTO owners VALUES (?, ?)", family)


def _get_all(home: StateDir) -> float:
    """Seconds of `tapedeck get all`."""
    began = time.perf_counter()
    listed = subprocess.run(
        [Path(sys.executable).with_name("tapedeck"), "get", "all", "--home", home.root],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    took = time.perf_counter() - began
    if listed.count("run-") < RUNS:
        raise RuntimeError(f"`tapedeck get all` listed {listed.count('run-')} of {RUNS} runs")
    return took
