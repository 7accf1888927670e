"""`tapedeck up`, `down`, `status` and `migrate`: the deck itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from tapedeck_crds.json import Json
from tapedeck_deck.cli.session import DOWN, note_if_down, opened, say
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home

CHECK_SECONDS = 2.0


def up(home: Home, port: int) -> None:
    """Start the deck in the background and say where its page is."""
    facts = home.running()
    if facts is not None:
        print(f"the deck is already up: {facts['gateway']}")
        return
    from rich.console import Console

    from tapedeck_deck.embedded.deck import start_background

    console = Console(stderr=True)
    began = time.monotonic()
    waiting = (
        console.status("starting broker, database, recorder and gateway …") if console.is_terminal else nullcontext()
    )
    with waiting:
        facts = start_background(home, port=port)
    print(f"the deck is up after {time.monotonic() - began:.1f} s: {facts['gateway']}")
    say("next: `tapedeck apply -f examples/` plays the samples, `tapedeck get all -w` watches, `tapedeck down` ends it")


def foreground(home: Home, port: int) -> None:
    """Run the deck in this process until Ctrl-C."""
    from tapedeck_deck.embedded.deck import run_foreground

    run_foreground(home, port)


def down(home: Home) -> None:
    """End the deck; what it keeps stays."""
    from tapedeck_deck.embedded.deck import stop

    ended = stop(home)
    print(f"the deck is down; its data stays in {home.root}" if ended else f"no deck runs in {home.root}")


def status(home: Home) -> Json:
    """What there is to say of the deck. ``parts`` maps broker, database and page to ok or what is wrong."""
    facts = home.running()
    counts: dict[str, Json] = {}
    if home.objects.exists():
        with opened(home) as objects:
            counts = _phases(objects.list())
    return {
        "home": str(home.root),
        "running": facts is not None,
        "parts": _parts(facts) if facts else {},
        "resources": counts,
        **({k: facts.get(k) for k in ("pid", "started", "gateway", "broker", "dsn")} if facts else {}),
    }


def print_status(home: Home, said: Json) -> None:
    """A status for people."""
    if not said["running"]:
        note_if_down(home)
    else:
        from tapedeck_deck.cli.table import Table

        minutes = (time.time() - said["started"]) / 60
        print(f"deck      up for {minutes:.0f} min, pid {said['pid']}, in {said['home']}")
        addresses = {"page": said["gateway"], "broker": said["broker"], "database": said["dsn"]}
        rows = [[part, said["parts"][part], address] for part, address in addresses.items()]
        for line in Table(["part", "state", "address"]).lines(rows, header=False):
            print(line)
    for kind, phases in said["resources"].items():
        print(f"{kind}: " + ", ".join(f"{count} {phase}" for phase, count in phases.items()))


def migrate(home: Home) -> int:
    """Bring schema and topics up to date; returns the exit code."""
    folder = os.environ.get("TAPEDECK_CONNECTIONS")
    if not folder:
        if home.running() is None:
            raise DeckError(f"{DOWN}; or name a folder of connections in TAPEDECK_CONNECTIONS")
        folder = str(home.migrate)
    elif not Path(folder).is_dir():
        raise DeckError(f"TAPEDECK_CONNECTIONS: got {folder!r}, expected a folder with the files of connections")
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
        "page": _listens(page.hostname or "", page.port or 80),
        "broker": _listens(host, int(port)),
        "database": _answers(facts["dsn"]),
    }


def _listens(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=CHECK_SECONDS).close()
    except OSError as error:
        return f"does not answer ({error.strerror or error})"
    return "ok"


def _answers(dsn: str) -> str:
    import psycopg

    try:
        psycopg.connect(dsn, connect_timeout=int(CHECK_SECONDS)).close()
    except psycopg.OperationalError as error:
        return f"does not answer ({str(error).splitlines()[0]})"
    return "ok"
