"""`tapedeck up`, `down`, `status` and `migrate`: the deck's own processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import NOT_RUNNING, note_if_not_running, open_objects, print_note
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

CHECK_SECONDS = 2.0


def up(home: StateDir, port: int, origins: Sequence[str] = (), timeout: float | None = None) -> None:
    """Start the deck in the background and print the address of its page. ``timeout`` is in seconds.

    Pages of ``origins`` may ask the gateway, too.
    """
    facts = home.running()
    if facts is not None:
        print(f"the deck is already running: {facts['gateway']}")
        if origins or port not in (0, urlsplit(facts["gateway"]).port):
            print_note(
                "--port and --origin are read when a deck starts: run `tapedeck down`, then `tapedeck up` with them"
            )
        return
    from rich.console import Console

    from tapedeck_deck.embedded.deck import start_background

    console = Console(stderr=True)
    started = time.monotonic()
    with console.status("starting …") if console.is_terminal else nullcontext() as progress:

        def show(awaited: str) -> None:
            if progress is not None:
                progress.update(f"waiting for {awaited} …")

        facts = start_background(home, port=port, origins=origins, timeout=timeout, on_awaited=show)
    print(f"the deck is running after {time.monotonic() - started:.1f} s: {facts['gateway']}")
    print_note(
        "next: `tapedeck apply -f examples/` plays the samples, `tapedeck get all -w` shows them, `tapedeck down` stops"
    )


def foreground(home: StateDir, port: int, origins: Sequence[str] = ()) -> None:
    """Run the deck in this process until interrupted."""
    from tapedeck_deck.embedded.deck import run_foreground

    run_foreground(home, port, origins)


def down(home: StateDir) -> None:
    """Stop the deck. Its data is kept."""
    from tapedeck_deck.embedded.deck import stop

    stopped = stop(home)
    print(f"the deck is stopped; its data is kept in {home.root}" if stopped else f"no deck is running in {home.root}")


def status(home: StateDir) -> Json:
    """The state of the deck. ``parts`` maps broker, database and page to ``ok`` or an error.

    ``problems`` says what keeps parts of a running deck from their work, ``sandbox`` what the sandbox of users' code
    lacks on this machine.
    """
    from tapedeck_common.sandbox.parts import available
    from tapedeck_deck.embedded.problems import describe, read_problems

    facts = home.running()
    problems = read_problems(home.problems_file) if facts else {}
    counts: dict[str, Json] = {}
    if home.objects.exists():
        try:
            with open_objects(home) as objects:
                counts = _phases(objects.list())
        except (DeckError, OSError) as error:  # also a full or read-only disk: the rest can still be said
            problems["objects"] = describe(error)
    return {
        "home": str(home.root),
        "running": facts is not None,
        "parts": _parts(facts) if facts else {},
        "problems": problems,
        "resources": counts,
        "sandbox": available().warning(),
        **({k: facts.get(k) for k in ("pid", "started", "gateway", "broker", "kafka", "dsn")} if facts else {}),
    }


def print_status(home: StateDir, state: Json) -> None:
    """Print the state as text."""
    if not state["running"]:
        note_if_not_running(home)
    else:
        from tapedeck_deck.cli.text_table import TextTable

        minutes = (time.time() - state["started"]) / 60
        print(f"deck      up for {minutes:.0f} min, pid {state['pid']}, in {state['home']}")
        broker = f"{state['broker']} (account: {state['kafka']})"
        addresses = {"page": state["gateway"], "broker": broker, "database": state["dsn"]}
        rows = [[part, state["parts"][part], address] for part, address in addresses.items()]
        for line in TextTable(["part", "state", "address"]).lines(rows, header=False):
            print(line)
    if state["sandbox"]:
        print(f"warning: {state['sandbox']}")
    for part, problem in state["problems"].items():
        print(f"problem: {part}: {problem}")
    for kind, phases in state["resources"].items():
        print(f"{kind}: " + ", ".join(f"{count} {phase}" for phase, count in phases.items()))


def migrate(home: StateDir) -> int:
    """Upgrade the database schema and the market topics. Returns the exit code."""
    folder = os.environ.get("TAPEDECK_CONNECTIONS")
    if not folder:
        if home.running() is None:
            raise DeckError(f"{NOT_RUNNING}; or set TAPEDECK_CONNECTIONS to a folder of connection files")
        folder = str(home.migrate)
    elif not Path(folder).is_dir():
        raise DeckError(f"TAPEDECK_CONNECTIONS: got {folder!r}, expected a folder of connection files")
    done = subprocess.run(
        [sys.executable, "-m", "tapedeck_maintenance.migrate"],
        env={**os.environ, "TAPEDECK_CONNECTIONS": folder},
        timeout=300,
    )
    return 1 if done.returncode else 0


def _phases(documents: list[Json]) -> dict[str, Json]:
    from tapedeck_crds.kinds import KINDS

    counts: dict[str, Json] = {}
    for kind, model in KINDS.items():
        phases = Counter(d.get("status", {}).get("phase", "Pending") for d in documents if d["kind"] == kind)
        if phases:
            counts[model.plural] = dict(phases)
    return counts


def _parts(facts: Json) -> Json:
    page = urlsplit(facts["gateway"])
    host, _, port = facts["broker"].rpartition(":")
    return {
        "page": _port_state(page.hostname or "", page.port or 80),
        "broker": _port_state(host, int(port)),
        "database": _database_state(facts["dsn"]),
    }


def _port_state(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=CHECK_SECONDS).close()
    except OSError as error:
        return f"unreachable ({error.strerror or error})"
    return "ok"


def _database_state(dsn: str) -> str:
    import psycopg

    try:
        psycopg.connect(dsn, connect_timeout=int(CHECK_SECONDS)).close()
    except psycopg.OperationalError as error:
        return f"unreachable ({str(error).splitlines()[0]})"
    return "ok"
