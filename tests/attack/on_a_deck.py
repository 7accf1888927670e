"""Attacks on a running deck, whose processes must neither end nor grow."""

from __future__ import annotations

import random
from collections.abc import Callable

import psutil

from attack.documented_api import api
from attack.outcome import Outcome
from attack.records import records
from attack.requests import rest, sockets, udf
from decks.process import Deck

ON_A_DECK: dict[str, Callable[[Deck, random.Random, int, Outcome], None]] = {
    "records": records,
    "udf": udf,
    "rest": rest,
    "websocket": sockets,
    "api": api,
}


def attack_deck(running: Deck, name: str, seed: int, count: int) -> Outcome:
    """Run an attack; the deck's own pods must be the same as before."""
    outcome = Outcome(name)
    before = _services(running)
    ON_A_DECK[name](running, random.Random(seed), count, outcome)
    after = _services(running)
    if before.keys() != after.keys():
        outcome.add(f"pods ended: {sorted(before.keys() ^ after.keys())}")
    outcome.check_memory(max((after[pid] - before[pid] for pid in before.keys() & after.keys()), default=0))
    return outcome


def _services(running: Deck) -> dict[int, int]:
    """Process of each pod → its memory in bytes."""
    pids = [pod["status"]["pid"] for pod in running[2].list("Pod") if "pid" in pod.get("status", {})]
    return {pid: psutil.Process(pid).memory_info().rss for pid in pids if psutil.pid_exists(pid)}
