"""The Feeds of a command's own, of `tapedeck fetch` and `tapedeck import`: applied, shown and waited for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from tapedeck_crds.json import Json
from tapedeck_crds.resource import is_finished
from tapedeck_deck.cli.changes import apply
from tapedeck_deck.cli.context import NOT_RUNNING, open_objects
from tapedeck_deck.cli.kinds import find
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.progress_bars import ProgressBars

NAMESPACE = "default"
POLL_SECONDS = 0.3
RESTART_SECONDS = 5.0  # a deck that is down for longer is not just restarting


def run_feeds(home: StateDir, feeds: list[Document], console: Console) -> list[Json]:
    """Apply Feeds, show their progress, and return their final statuses.

    Raises DeckError where the deck does not run, or where a Feed fails.
    """
    if home.running() is None:
        raise DeckError(NOT_RUNNING)
    with open_objects(home) as objects:
        apply(objects, feeds, NAMESPACE)
    names = [str(feed.content["metadata"]["name"]) for feed in feeds]
    try:
        with ProgressBars(console) as progress:
            statuses = _final_statuses(home, names, progress)
    except KeyboardInterrupt:
        print_note(f"Feed {', '.join(names)} continues; `tapedeck delete feed {' '.join(names)}` stops it")
        raise
    failed = [
        f"Feed {name} failed: {status.get('message', 'see `tapedeck describe`')}"
        for name, status in zip(names, statuses, strict=True)
        if status["phase"] == "Failed"
    ]
    if failed:
        raise DeckError("\n".join(failed))
    return statuses


def _final_statuses(home: StateDir, names: Sequence[str], progress: ProgressBars) -> list[Json]:
    """The final statuses of Feeds, which run at the same time. Raises DeckError where the deck stops.

    There is no timeout: an exchange's rate limits, or the size of files, decide how long a Feed takes.
    """
    last_running = time.monotonic()
    while True:
        with open_objects(home) as objects:
            feeds = [find(objects, "Feed", NAMESPACE, name) for name in names]
        for feed in feeds:
            progress.update(feed)
        if all(map(is_finished, feeds)):
            return [feed["status"] for feed in feeds]
        if home.running() is not None:
            last_running = time.monotonic()
        elif time.monotonic() - last_running > RESTART_SECONDS:
            raise DeckError(f"{NOT_RUNNING}; Feed {', '.join(names)} then resumes")
        time.sleep(POLL_SECONDS)
