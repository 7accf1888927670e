"""A running deck for tests, and the processes that one leaves behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from endpoints import LOOPBACK
from pods.recorder import recorded_ends, unrecorded
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import deck
from tapedeck_deck.embedded.broker_access import read_client_properties
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.private_files import write_private
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.plan.names import UID_LABEL
from waits import eventually as eventually

Deck = tuple[StateDir, Json, Objects]
KEPT_TABLES = ("alembic_version", "kafka_offsets")


@contextmanager
def running_deck(folder: Path, *, metrics: bool = False, traces: str = "") -> Iterator[Deck]:
    """Run a deck in a folder, with a Prometheus if wanted, whose pods export traces to a URL if there is one.

    At the end stop it, and fail if a process is left.
    """
    home = StateDir.at(folder)
    home.root.mkdir(parents=True, exist_ok=True)
    write_private(home.endpoints_file, LOOPBACK.model_dump_json())
    facts = deck.start_background(home, 0, metrics=metrics, traces=traces)
    try:
        yield home, facts, Objects(home.objects)
    finally:
        deck.stop(home)
        # A child that the deck has killed may take a moment to be gone on a busy machine.
        eventually(lambda: not leftovers(home), what=f"the end of {leftovers(home)}")


def clear(running: Deck) -> None:
    """Delete all that users made, and all rows; topics keep their records."""
    home, _, objects = running
    for kind, namespace, name in of_users(objects):
        objects.delete(kind, namespace, name)
    eventually(lambda: all(p["metadata"]["labels"].get(UID_LABEL) is None for p in objects.list("Pod")))
    wait_recorded(running)  # a row that comes later is one of the tests that follow
    with psycopg.connect(owner_dsn(home)) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        tables = [sql.Identifier(name) for (name,) in found if name not in KEPT_TABLES]
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))


def of_users(objects: Objects) -> list[tuple[str, str, str]]:
    """Kind, namespace and name of what users made: resources, the last kinds first, and what these refer to."""
    found = {kind: objects.list(kind) for kind in ("Backtest", "Replay", "Feed", "ConfigMap", "Secret")}
    return [
        (kind, each["metadata"]["namespace"], each["metadata"]["name"])
        for kind, documents in found.items()
        for each in documents
        if not each["metadata"].get("ownerReferences") and not each["metadata"]["name"].startswith("tapedeck-")
    ]


def owner_dsn(home: StateDir) -> str:
    """The DSN of the tables' owner."""
    return (home.migrate / "store_dsn").read_text().strip()


def wait_recorded(running: Deck) -> None:
    """Wait until the recorder has stored what is on the standing topics now."""
    home, facts, _ = running
    broker, dsn = broker_of(facts), owner_dsn(home)
    eventually(lambda: not unrecorded(broker, dsn), progress=lambda: recorded_ends(dsn), what="the recorder")


def broker_of(facts: Json) -> dict[str, str]:
    """What a client of the deck's broker needs, as its owner."""
    return read_client_properties(Path(facts["kafka"]))


def leftovers(home: StateDir) -> list[str]:
    """Command lines of running processes that use the state directory or a folder in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status", "cwd"]):
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        words = [*(process.info["cmdline"] or []), *(process.info["environ"] or {}).values(), process.info["cwd"] or ""]
        if any(str(home.root) in word for word in words):
            found.append(" ".join(process.info["cmdline"] or [])[:200])
    return found


def phase(objects: Objects, kind: str, name: str) -> str:
    """The phase of a resource; empty before its first status."""
    return str(objects.get(kind, "default", name).get("status", {}).get("phase", ""))


def reaches(objects: Objects, kind: str, name: str, *phases: str, timeout: float = 60.0) -> None:
    """Wait until a resource is in one of the phases."""
    eventually(lambda: phase(objects, kind, name) in phases, timeout)


def apply(objects: Objects, kind: str, name: str, spec: Json, folder: Path = Path("/")) -> None:
    """Apply a resource as `tapedeck apply` does with a file in the folder."""
    content = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    changes.apply(objects, [Document("here", folder, content)], "default")


def pods_of(objects: Objects, uid: str) -> list[Json]:
    """The running pods of a resource."""
    pods = [p for p in objects.list("Pod") if p["metadata"]["labels"].get(UID_LABEL) == uid]
    return [p for p in pods if p.get("status", {}).get("phase") == "Running" and "pid" in p["status"]]


def kill(pid: int) -> None:
    """Send SIGKILL."""
    os.kill(pid, signal.SIGKILL)
