"""`tapedeck logs`: what the pods of an object wrote."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tapedeck_crds.json import Json
from tapedeck_deck.cli.kinds import pods_of
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home
from tapedeck_deck.embedded.objects import NotFound, Objects

FOLLOW_SECONDS = 0.2
_OVER = ("Succeeded", "Failed", "Complete")


def print_files(paths: list[Path], tail: int | None) -> dict[Path, int]:
    """Print files, or the last lines of each; returns how far each was read."""
    read: dict[Path, int] = {}
    for path in paths:
        with path.open("rb") as log:
            lines = log if tail is None else deque(log, maxlen=tail)
            for line in lines:
                sys.stdout.buffer.write(line)
            read[path] = log.tell()
    sys.stdout.flush()
    return read


def follow(paths: Callable[[], list[Path]], over: Callable[[], bool], read: dict[Path, int]) -> None:
    """Print what is added to the files, new files too, until ``over`` or interrupted."""
    opened: dict[Path, IO[bytes]] = {}
    try:
        last = False
        while True:
            for path in paths():
                if path not in opened:
                    opened[path] = path.open("rb")
                    opened[path].seek(read.get(path, 0))
                sys.stdout.buffer.write(opened[path].read())
            sys.stdout.flush()
            if last:
                return
            last = over()  # once more after the end: what was written just before it
            time.sleep(FOLLOW_SECONDS)
    finally:
        for log in opened.values():
            log.close()


def log_files(objects: Objects, document: Json) -> list[Path]:
    """The logs of an object's pods, the oldest first. Raises DeckError where there is none yet."""
    named = [pod.get("status", {}).get("log") for pod in pods_of(objects, document)]
    return [path for name in named if name and (path := Path(name)).exists()]


def show(objects: Objects, document: Json, *, following: bool, tail: int | None) -> None:
    """Print an object's logs, and go on while it runs where ``following``."""
    paths = log_files(objects, document)
    if not paths and not following:
        raise DeckError(
            f"{document['kind'].lower()} {document['metadata']['name']} has no log yet: no pod of it has run"
        )
    read = print_files(paths, tail)
    if following:
        follow(lambda: log_files(objects, document), lambda: _over(objects, document), read)


def show_deck(home: Home, *, following: bool, tail: int | None) -> None:
    """Print the daemon's own log."""
    if not home.deck_log.exists():
        raise DeckError(f"no log of the deck in {home.logs}: `tapedeck up` starts it")
    read = print_files([home.deck_log], tail)
    if following:
        follow(lambda: [home.deck_log], lambda: not home.locked(), read)


def _over(objects: Objects, document: Json) -> bool:
    metadata = document["metadata"]
    try:
        present = objects.get(document["kind"], metadata["namespace"], metadata["name"])
    except NotFound:
        return True
    return present["metadata"]["uid"] != metadata["uid"] or present.get("status", {}).get("phase") in _OVER
