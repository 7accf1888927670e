"""Showing the state of a deck: once, as lines of JSON or documents of YAML, or live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tapedeck_deck.cli.context import NOT_RUNNING, open_objects
from tapedeck_deck.cli.output import DOCUMENTS, JSON, as_json_line, as_text
from tapedeck_deck.cli.printing import print_text
from tapedeck_deck.cli.top.state import DeckMeter, DeckState
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

PIPE_COLUMNS = 200
FIRST_SECONDS = 1.0  # between the two looks that a rate needs


def show(home: StateDir, output: str, *, once: bool, interval: float) -> None:
    """Show the running deck until interrupted, or once. Raises DeckError where it does not run, or has stopped."""
    if home.running() is None:
        raise DeckError(NOT_RUNNING)
    with open_objects(home) as objects:
        states = _states(home, DeckMeter(home, objects), interval)
        if output in DOCUMENTS:
            _print_documents(states, output, once=once)
        elif once or not sys.stdout.isatty():
            _print_once(next(states))
        else:
            _live(states)


def _states(home: StateDir, meter: DeckMeter, interval: float) -> Iterator[DeckState]:
    meter.look()
    time.sleep(min(FIRST_SECONDS, interval))
    while home.running() is not None:
        yield meter.look()
        time.sleep(interval)
    raise DeckError("the deck has stopped")


def _print_documents(states: Iterator[DeckState], output: str, *, once: bool) -> None:
    for state in states:
        found = state.as_json()
        print_text(as_json_line(found) if output == JSON else f"---\n{as_text(found, output)}", flush=True)
        if once:
            return


def _print_once(state: DeckState) -> None:
    from rich.console import Console

    from tapedeck_deck.cli.top.view import render

    # A pipe has no width: rich would cut the tables at 80 columns.
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(render(state))


def _live(states: Iterator[DeckState]) -> None:
    from rich.live import Live

    from tapedeck_deck.cli.top.view import render

    with Live(screen=True, auto_refresh=False) as live:
        try:
            for state in states:
                live.update(render(state, live.console.height), refresh=True)
        except KeyboardInterrupt:
            return
