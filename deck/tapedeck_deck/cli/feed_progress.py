"""Waiting for Feeds of a command's own: `tapedeck fetch` and `tapedeck import`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck_crds.json import Json
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.cli.context import NOT_RUNNING, open_objects
from tapedeck_deck.cli.kinds import find
from tapedeck_deck.demo.progress import ProgressBars
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

NAMESPACE = "default"
POLL_SECONDS = 0.3
RESTART_SECONDS = 5.0  # a deck that is down for longer is not just restarting


def final_statuses(home: StateDir, names: Sequence[str], progress: ProgressBars) -> list[Json]:
    """The final statuses of Feeds, which run at the same time. Raises DeckError where the deck stops.

    There is no timeout: an exchange's rate limits, or the size of files, decide how long a Feed takes.
    """
    last_running = time.monotonic()
    while True:
        with open_objects(home) as objects:
            feeds = [find(objects, "Feed", NAMESPACE, name) for name in names]
        for feed in feeds:
            progress.update(feed)
        statuses: list[Json] = [feed.get("status", {}) for feed in feeds]
        if all(status.get("phase") in FINAL_PHASES for status in statuses):
            return statuses
        if home.running() is not None:
            last_running = time.monotonic()
        elif time.monotonic() - last_running > RESTART_SECONDS:
            raise DeckError(f"{NOT_RUNNING}; Feed {', '.join(names)} then resumes")
        time.sleep(POLL_SECONDS)
