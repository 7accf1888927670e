"""`tapedeck logs`: print the logs of an object's pods, or of the deck, without what a terminal would obey."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tapedeck_crds.json import Json
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.cli.kinds import owned_pods
from tapedeck_deck.cli.printing import print_text
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.reconcile.errors import ObjectNotFound

FOLLOW_SECONDS = 0.2
DECK = "deck"
DEPLOYMENTS = ("recorder", "gateway")
PARTS = (DECK, *DEPLOYMENTS)
"""What has a log without being a resource of the user."""
CHUNK = 65_536
_END_PHASES = FINAL_PHASES | {"Succeeded"}  # of resources, and of pods


def print_files(paths: list[Path], tail: int | None) -> dict[Path, int]:
    """Print files, or the last lines of each. Returns the offset up to which each was read."""
    read: dict[Path, int] = {}
    for path in paths:
        with path.open("rb") as log:
            lines = log if tail is None else deque(log, maxlen=tail)
            for line in lines:
                print_text(line.decode("utf-8", "replace"), end="")
            read[path] = log.tell()
    print_text(end="", flush=True)
    return read


def follow(paths: Callable[[], list[Path]], ended: Callable[[], bool], read: dict[Path, int]) -> None:
    """Print what is appended to the files, including new ones, until ``ended`` is true or the user interrupts."""
    open_logs: dict[Path, IO[str]] = {}
    try:
        last = False
        while True:
            for path in paths():
                if path not in open_logs:
                    open_logs[path] = path.open(encoding="utf-8", errors="replace", newline="")
                    open_logs[path].seek(read.get(path, 0))
                while part := open_logs[path].read(CHUNK):
                    print_text(part, end="")
            print_text(end="", flush=True)
            if last:
                return
            last = ended()  # read once more after the end, for lines that were written just before it
            time.sleep(FOLLOW_SECONDS)
    finally:
        for log in open_logs.values():
            log.close()


def log_files(objects: Objects, document: Json) -> list[Path]:
    """The existing log files of an object's pods, oldest first."""
    paths = [pod.get("status", {}).get("log") for pod in owned_pods(objects, document)]
    return [path for name in paths if name and (path := Path(name)).exists()]


def print_logs(objects: Objects, document: Json, *, following: bool, tail: int | None) -> None:
    """Print an object's logs; with ``following``, also new lines until it ends. Raises DeckError if it has no log."""
    paths = log_files(objects, document)
    if not paths and not following:
        raise DeckError(
            f"{document['kind'].lower()} {document['metadata']['name']} has no log yet: none of its pods has started"
        )
    read = print_files(paths, tail)
    if following:
        follow(lambda: log_files(objects, document), lambda: _has_ended(objects, document), read)


def print_deck_log(home: StateDir, *, following: bool, tail: int | None) -> None:
    """Print the log of the deck's own process. Raises DeckError if it has none."""
    if not home.deck_log.exists():
        raise DeckError(f"no deck log in {home.logs}: `tapedeck up` starts the deck")
    read = print_files([home.deck_log], tail)
    if following:
        follow(lambda: [home.deck_log], lambda: not home.locked(), read)


def _has_ended(objects: Objects, document: Json) -> bool:
    metadata = document["metadata"]
    try:
        current = objects.get(document["kind"], metadata["namespace"], metadata["name"])
    except ObjectNotFound:
        return True
    return current["metadata"]["uid"] != metadata["uid"] or current.get("status", {}).get("phase") in _END_PHASES
