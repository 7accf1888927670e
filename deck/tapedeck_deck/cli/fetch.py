"""`tapedeck fetch`: download bars of an exchange, as a Feed that is a backfill alone."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tapedeck_crds.base import parse_time
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.cli.changes import apply
from tapedeck_deck.cli.context import NOT_RUNNING, open_objects, print_note
from tapedeck_deck.cli.kinds import find
from tapedeck_deck.cli.moments import parse_moment
from tapedeck_deck.demo.progress import ProgressBars
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

NAMESPACE = "default"
TTL_SECONDS = 3600
POLL_SECONDS = 0.3
RESTART_SECONDS = 5.0  # a deck that is down for longer is not just restarting


def fetch_spec(
    exchange: str,
    symbols: list[str],
    start: str,
    end: str | None,
    intervals: list[str],
    pods: int,
    rest: str | None = None,
    key_secret: str | None = None,
) -> Json:
    """The spec of the Feed for the options of the command. Raises DeckError."""
    since = parse_moment("--start", start)
    if parse_time(since) >= datetime.now(UTC):
        raise DeckError(f"--start: got {start}, expected a time before now")
    backfill: Json = {"from": since, "intervals": intervals, "shards": pods, "only": True}
    if end is not None:
        backfill["to"] = parse_moment("--end", end)
    names = [name for text in symbols for name in text.split(",") if name]
    spec: Json = {"exchange": exchange, "symbols": names, "backfill": backfill, "ttlSecondsAfterFinished": TTL_SECONDS}
    if key_secret is not None:
        spec["apiKeySecret"] = key_secret
    return spec | ({"endpoints": {"rest": rest}} if rest is not None else {})


def fetch(home: StateDir, spec: Json, console: Console) -> Json:
    """Create the Feed, show its progress, wait for its end and return its result. Raises DeckError if it failed."""
    if home.running() is None:
        raise DeckError(NOT_RUNNING)
    name = f"fetch-{uuid.uuid4().hex[:8]}"
    content = {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": name}, "spec": spec}
    with open_objects(home) as objects:
        apply(objects, [Document("fetch", Path.cwd(), content)], NAMESPACE)
    try:
        with ProgressBars(console) as progress:
            status = _wait(home, name, progress)
    except KeyboardInterrupt:
        print_note(f"Feed {name} continues; `tapedeck delete feed {name}` stops it")
        raise
    if status["phase"] == "Failed":
        raise DeckError(f"Feed {name} failed: {status.get('message', 'see `tapedeck describe`')}")
    return _result(name, spec, status)


def _wait(home: StateDir, name: str, progress: ProgressBars) -> Json:
    """The final status. There is no timeout: the exchange's rate limits decide how long a backfill takes."""
    last_running = time.monotonic()
    while True:
        with open_objects(home) as objects:
            feed = find(objects, "Feed", NAMESPACE, name)
        progress.update(feed)
        status: Json = feed.get("status", {})
        if status.get("phase") in FINAL_PHASES:
            return status
        if home.running() is not None:
            last_running = time.monotonic()
        elif time.monotonic() - last_running > RESTART_SECONDS:
            raise DeckError(f"{NOT_RUNNING}; Feed {name} then resumes")
        time.sleep(POLL_SECONDS)


def _result(name: str, spec: Json, status: Json) -> Json:
    shards = status.get("backfill", [])
    return {
        "feed": name,
        "phase": status["phase"],
        "exchange": spec["exchange"],
        "symbols": status.get("symbols", 0),
        "from": min((shard["from"] for shard in shards), default=spec["backfill"]["from"]),
        "to": max((shard["to"] for shard in shards), default=spec["backfill"].get("to")),
        "bars": status.get("bars", 0),
        "missing": sum(shard["missing"] for shard in shards),
        "errors": status.get("errors", 0),
        "retries": sum(shard["retries"] for shard in shards),
        "message": status.get("message", ""),
    }
