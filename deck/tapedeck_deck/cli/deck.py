"""`tapedeck up`, `down`, `status`, `page` and `migrate`: the deck's own processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import NOT_RUNNING, note_if_not_running, open_objects
from tapedeck_deck.cli.examples import EXAMPLES, WRITE
from tapedeck_deck.cli.output import print_lines
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.cli.progress import ProgressLines, shown_progress
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

if TYPE_CHECKING:
    from tapedeck_deck.cli.health import Finding
    from tapedeck_deck.cli.health_look import PodsLook

CHECK_SECONDS = 2.0
SHOWN_FACTS = ("pid", "started", "gateway", "broker", "kafka", "dsn", "prometheus", "traces")
BESIDE = ("prometheus", "traces")  # where a deck was started with them
UNHEALTHY_MAX = 10  # that are shown as text


def up(
    home: StateDir,
    port: int,
    origins: Sequence[str] = (),
    timeout: float | None = None,
    *,
    metrics: bool = False,
    traces: str = "",
) -> None:
    """Start the deck in the background and print the address of its page. ``timeout`` is in seconds.

    Pages of ``origins`` may ask the gateway, too. With ``metrics`` a Prometheus runs beside it, and with ``traces`` its
    pods export traces to this URL.
    """
    facts = home.running()
    if facts is not None:
        print_text(f"the deck is already running: {facts['gateway']}")
        other = port not in (0, urlsplit(facts["gateway"]).port) or traces not in ("", facts.get("traces"))
        if origins or other or (metrics and "prometheus" not in facts):
            print_note(
                "--port, --origin, --metrics and --traces are read when a deck starts: run `tapedeck down`, then "
                "`tapedeck up` with them"
            )
        return
    _check_metrics(metrics)
    from tapedeck_deck.embedded.deck import start_background

    started = time.monotonic()
    with shown_progress("starting") as show:
        facts = start_background(
            home,
            port=port,
            origins=origins,
            metrics=metrics,
            traces=traces,
            timeout=timeout,
            on_awaited=lambda awaited: show(f"waiting for {awaited}"),
        )
    print_text(f"the deck is running after {time.monotonic() - started:.1f} s: {facts['gateway']}")
    if metrics:
        print_text(f"Prometheus: {facts['prometheus']}")
    if "traces" in facts:
        print_text(f"traces: {facts['traces']}")
    if not EXAMPLES.exists():
        print_note(f"first: {WRITE}")
    print_note(
        "next: `tapedeck apply -f examples/` plays the samples, `tapedeck get all -w` shows them, "
        "`tapedeck page` prints the page's address with its token, `tapedeck down` stops"
    )


def prefetch() -> None:
    """Download what the first start needs. Raises DeckError."""
    from tapedeck_deck.embedded import jars

    what = f"downloading Kafka {jars.KAFKA}"
    with shown_progress(what) as show:
        done = jars.prefetch(lambda size: show(f"{what}: {size / 2**20:.0f} MiB"))
    print_text(f"Kafka {jars.KAFKA} is {'downloaded to' if done else 'already in'} {jars.jar_folder()}")


def require_prefetched() -> None:
    """Raise DeckError where a start would download something."""
    from tapedeck_deck.embedded import jars

    if not jars.jar_folder().is_dir():
        raise DeckError(
            f"--offline: got no Kafka {jars.KAFKA} in {jars.jar_folder()}: run `tapedeck prefetch` with a "
            "connection first"
        )


def foreground(
    home: StateDir, port: int, origins: Sequence[str] = (), *, metrics: bool = False, traces: str = ""
) -> None:
    """Run the deck in this process until interrupted."""
    from tapedeck_deck.embedded.deck import run_foreground

    _check_metrics(metrics)
    run_foreground(home, port, origins, metrics=metrics, traces=traces)


def _check_metrics(metrics: bool) -> None:
    """Say at once that there is no Prometheus, or none of its rules. Raises DeckError."""
    if metrics:
        from tapedeck_deck.embedded.prometheus import program, rules

        program()
        rules()


def down(home: StateDir) -> None:
    """Stop the deck. Its data is kept."""
    stopped = stop_shown(home)
    print_text(
        f"the deck is stopped; its data is kept in {home.root}" if stopped else f"no deck is running in {home.root}"
    )


def stop_shown(home: StateDir) -> bool:
    """Stop the deck and show that it stops; False if there is none. Raises DeckError if it does not stop in time."""
    from tapedeck_deck.embedded.deck import stop

    with shown_progress("stopping the deck"):
        return stop(home)


def status(home: StateDir) -> Json:
    """The state of the deck. ``parts`` maps page, broker, database, recorder and Prometheus to ``ok`` or an error.

    ``problems`` says what keeps parts of a running deck from their work, ``unhealthy`` all that is, with what to do,
    and ``sandbox`` what the sandbox of users' code lacks on this machine.
    """
    from tapedeck_common.sandbox.parts import available
    from tapedeck_deck.embedded.problems import describe, read_problems

    facts = home.running()
    problems = read_problems(home.problems_file) if facts else {}
    documents: list[Json] = []
    if home.objects.exists():
        try:
            with open_objects(home) as objects:
                documents = objects.list_current()
        except (DeckError, OSError) as error:  # also a full or read-only disk: the rest can still be said
            problems["objects"] = describe(error)
    from tapedeck_deck.cli.health_look import look_at_pods

    look = look_at_pods(documents) if facts else None
    parts = _parts(facts) if facts else {}
    if look is not None:
        parts = _with_recorder(parts, look.recorder_state())
    return {
        "home": str(home.root),
        "running": facts is not None,
        "parts": parts,
        "problems": problems,
        "unhealthy": [asdict(each) for each in _findings(home, parts, problems, documents, look, facts)],
        "resources": _phases(documents),
        "sandbox": available().warning(),
        **({name: facts.get(name) for name in SHOWN_FACTS} if facts else {}),
        **({"recorder": look.recorder_address} if look else {}),
    }


def part_names(state: Json) -> list[str]:
    """The parts of a deck that runs."""
    return [*state["parts"], *(name for name in BESIDE if state.get(name) and name not in state["parts"])]


def print_status(home: StateDir, state: Json, *, wide: bool = False) -> None:
    """Print the state as text; a ``wide`` one names the log of each part, and all that is unhealthy."""
    print_text(f"folder    {state['home']}" + ("" if home.root.exists() else " (does not exist)"))
    if not state["running"]:
        note_if_not_running(home)
    else:
        minutes = (time.time() - state["started"]) / 60
        print_text(f"deck      up for {minutes:.0f} min, pid {state['pid']}")
        print_lines(_part_lines(state, wide))
    if state["sandbox"]:
        print_text(f"warning: {state['sandbox']}")
    for kind, phases in state["resources"].items():
        print_text(f"{kind}: " + ", ".join(f"{count} {phase}" for phase, count in phases.items()))
    unhealthy = state["unhealthy"]
    shown = len(unhealthy) if wide else UNHEALTHY_MAX
    for each in unhealthy[:shown]:
        print_text(f"unhealthy: {each['what']}: {each['problem']}")
        print_text(f"  do: {each['do']}")
    if len(unhealthy) > shown:
        print_text(f"unhealthy: {len(unhealthy) - shown} more; `tapedeck status -o wide` lists all")


def _part_lines(state: Json, wide: bool) -> list[str]:
    from tapedeck_deck.cli.health import LOG_OF
    from tapedeck_deck.cli.text_table import TextTable

    broker = f"{state['broker']} (account: {state['kafka']})"
    addresses = {**state, "page": state["gateway"], "broker": broker, "database": state["dsn"]}
    rows = [[name, state["parts"].get(name, ""), addresses.get(name) or ""] for name in part_names(state)]
    if not wide:
        return TextTable(["part", "state", "address"]).lines(rows, header=False)
    logs = [f"tapedeck logs {LOG_OF[row[0]]}" if row[0] in LOG_OF else "" for row in rows]
    return TextTable(["part", "state", "address", "log"]).lines(
        [[*row, log] for row, log in zip(rows, logs, strict=True)], header=False
    )


def page_address(home: StateDir) -> str:
    """The address of the running deck's page, with the token that lets it change resources. Raises DeckError."""
    facts = home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    return f"{facts['gateway']}#token={home.control_token_file.read_text()}"


def migrate(home: StateDir) -> int:
    """Upgrade the database schema and the market topics. Returns the exit code."""
    folder = os.environ.get("TAPEDECK_CONNECTIONS")
    if not folder:
        if home.running() is None:
            raise DeckError(f"{NOT_RUNNING}; or set TAPEDECK_CONNECTIONS to a folder of connection files")
        folder = str(home.migrate)
    elif not Path(folder).is_dir():
        raise DeckError(f"TAPEDECK_CONNECTIONS: got {folder!r}, expected a folder of connection files")
    with ProgressLines("upgrading the schema and the topics"):
        done = subprocess.run(
            [sys.executable, "-m", "tapedeck_maintenance.migrate"],
            env={**os.environ, "TAPEDECK_CONNECTIONS": folder},
            timeout=300,
        )
    return 1 if done.returncode else 0


def _findings(
    home: StateDir,
    parts: Json,
    problems: dict[str, str],
    documents: list[Json],
    look: PodsLook | None,
    facts: Json | None,
) -> list[Finding]:
    from tapedeck_crds.kinds import KINDS
    from tapedeck_deck.cli import health
    from tapedeck_deck.cli.health_look import firing_alerts

    free = shutil.disk_usage(home.root).free if home.root.exists() else health.FREE_BYTES_MIN
    prometheus = (facts or {}).get("prometheus")
    return [
        *health.of_parts(parts),
        *health.of_problems(problems),
        *health.of_disk(free, str(home.root)),
        *(look.findings(facts["dsn"]) if look and facts else []),
        *health.of_resources(document for document in documents if document["kind"] in KINDS),
        *(firing_alerts(prometheus) if prometheus else []),
    ]


def _with_recorder(parts: Json, state: str) -> Json:
    """The parts with the recorder behind those that it needs, and before what runs beside the deck."""
    beside = {name: parts[name] for name in BESIDE if name in parts}
    return {**{name: part for name, part in parts.items() if name not in beside}, "recorder": state, **beside}


def _phases(documents: list[Json]) -> dict[str, Json]:
    from tapedeck_crds.kinds import KINDS

    counts: dict[str, Json] = {}
    for kind, model in KINDS.items():
        phases = Counter(d.get("status", {}).get("phase", "Pending") for d in documents if d["kind"] == kind)
        if phases:
            counts[model.plural] = dict(phases)
    return counts


def _parts(facts: Json) -> Json:
    from tapedeck_deck.cli.health_look import host_and_port

    prometheus = facts.get("prometheus")
    host, _, port = facts["broker"].rpartition(":")
    return {
        "page": _port_state(*host_and_port(facts["gateway"])),
        "broker": _port_state(host, int(port)),
        "database": _database_state(facts["dsn"]),
        **({"prometheus": _port_state(*host_and_port(prometheus))} if prometheus else {}),
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
