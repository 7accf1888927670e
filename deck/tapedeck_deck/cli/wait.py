"""`--wait`: until applied resources have ended, or work where they have no end; until deleted ones have stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck_crds.controls import FOREVER
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.cli.kinds import find, label, owned_pods
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

POLL_SECONDS = 0.2
AT_WORK = ("Running", "Paused", "Suspended")


def has_end(document: Json) -> bool:
    """Whether a resource ends by itself: not a live Feed, a Replay that is held, repeated or paused, a paper run."""
    spec = document["spec"]
    if spec.get("suspend"):
        return False
    match document["kind"]:
        case "Feed":
            return "source" in spec or bool((spec.get("backfill") or {}).get("only"))
        case "Replay":
            held = spec.get("atEnd") == "hold" or spec.get("paused") or "until" in spec
            return not held and spec.get("loop") != FOREVER
        case _:
            feed = spec["data"].get("feed")
            return feed is None or "until" in feed


def is_reached(document: Json) -> bool:
    """Whether there is nothing more to wait for: it has ended, or works on its present spec without an end."""
    status = document.get("status", {})
    if status.get("phase") in FINAL_PHASES:
        return True
    is_current = status.get("observedGeneration") == document["metadata"]["generation"]
    return is_current and not has_end(document) and status.get("phase") in AT_WORK


def wait_applied(home: StateDir, objects: Objects, documents: Sequence[Json], timeout: float) -> bool:
    """Wait for resources and print the outcome of each; False where one failed.

    Raises DeckError after ``timeout`` seconds, and where no deck runs or one was deleted.
    """
    from rich.console import Console

    from tapedeck_deck.progress_bars import ProgressBars

    waiting = [d for d in documents if d["kind"] in KINDS]
    if home.running() is None and not home.locked():
        raise DeckError(f"--wait: {NOT_RUNNING}")
    deadline = time.monotonic() + timeout
    failed = False
    with ProgressBars(Console(stderr=True)) as progress:
        while waiting:
            found = [find(objects, d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]) for d in waiting]
            for document in found:
                progress.update(document)
            waiting = [document for document in found if not is_reached(document)]
            for document in found:
                if document not in waiting:
                    failed |= _print_outcome(document)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(f"{label(d)} ({d.get('status', {}).get('phase', 'Pending')})" for d in waiting)
                raise DeckError(f"--timeout: after {timeout:g} s still waiting for {names}; they continue")
            time.sleep(POLL_SECONDS if waiting else 0)
    return not failed


def _print_outcome(document: Json) -> bool:
    """Print what a resource has come to; returns whether it failed."""
    status = document["status"]
    message = " ".join((status.get("message") or "").split())
    print_text(f"{label(document)} {status['phase']}" + (f": {message}" if message else ""), flush=True)
    return bool(status["phase"] == "Failed")


def running_pids(objects: Objects, documents: Sequence[Json]) -> list[int]:
    """The processes of resources' pods."""
    pods = [pod for document in documents for pod in owned_pods(objects, document)]
    statuses = [pod.get("status", {}) for pod in pods]
    return [status["pid"] for status in statuses if status.get("phase") == "Running" and "pid" in status]


def wait_stopped(pids: Sequence[int], timeout: float) -> None:
    """Wait until processes have ended. Raises DeckError after ``timeout`` seconds."""
    if not pids:
        return
    print_note(f"waiting for {len(pids)} {'pod' if len(pids) == 1 else 'pods'} to stop")
    if not processes.wait_until(lambda: all(map(processes.ended, pids)), timeout=timeout):
        left = [pid for pid in pids if not processes.ended(pid)]
        raise DeckError(f"--timeout: after {timeout:g} s {len(left)} pods still run; `tapedeck logs deck` says why")
