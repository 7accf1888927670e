"""`tapedeck fetch`: an exchange's past once, as a Feed that brings it and is complete."""

from __future__ import annotations

import re
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tapedeck_crds.base import parse_time
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.cli.kinds import find
from tapedeck_deck.cli.session import DOWN, opened, say
from tapedeck_deck.cli.write import apply
from tapedeck_deck.demo.show import Progress
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home

NAMESPACE = "default"
KEEP_SECONDS = 3600
POLL_SECONDS = 0.3
DOWN_SECONDS = 5.0
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_OVER = ("Complete", "Failed")


def moment(option: str, text: str) -> str:
    """A day, or a time with an offset → the time as resources say it. Raises DeckError."""
    told = f"{text}T00:00:00Z" if _DAY.match(text) else text
    try:
        parse_time(told)
    except ValueError as error:
        raise DeckError(f"{option}: got {text!r}, {error}, or a day like 2018-04-04") from None
    return told


def spec_of(
    exchange: str,
    symbols: list[str],
    start: str,
    end: str | None,
    intervals: list[str],
    pods: int,
    rest: str | None = None,
    key_secret: str | None = None,
) -> Json:
    """The spec of the Feed that fetches. Raises DeckError."""
    since = moment("--start", start)
    if parse_time(since) >= datetime.now(UTC):
        raise DeckError(f"--start: got {start}, expected a time before now")
    backfill: Json = {"from": since, "intervals": intervals, "shards": pods, "only": True}
    if end is not None:
        backfill["to"] = moment("--end", end)
    names = [name for text in symbols for name in text.split(",") if name]
    spec: Json = {"exchange": exchange, "symbols": names, "backfill": backfill, "ttlSecondsAfterFinished": KEEP_SECONDS}
    if key_secret is not None:
        spec["apiKeySecret"] = key_secret
    return spec | ({"endpoints": {"rest": rest}} if rest is not None else {})


def fetch(home: Home, spec: Json, console: Console) -> Json:
    """Make the Feed, show how far it is, and wait for its end: what came of it. Raises DeckError where it failed."""
    if home.running() is None:
        raise DeckError(DOWN)
    name = f"fetch-{uuid.uuid4().hex[:8]}"
    content = {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": name}, "spec": spec}
    with opened(home) as objects:
        apply(objects, [Document("fetch", Path.cwd(), content)], NAMESPACE)
    try:
        with Progress(console) as progress:
            status = _wait(home, name, progress)
    except KeyboardInterrupt:
        say(f"Feed {name} goes on; `tapedeck delete feed {name}` ends it")
        raise
    if status["phase"] == "Failed":
        raise DeckError(f"Feed {name} failed: {status.get('message', 'see `tapedeck describe`')}")
    return _result(name, spec, status)


def _wait(home: Home, name: str, progress: Progress) -> Json:
    """The status at the end; without a limit, because it is for the exchange to say how long the past takes."""
    up = time.monotonic()
    while True:
        with opened(home) as objects:
            feed = find(objects, "Feed", NAMESPACE, name)
        progress.update(feed)
        status: Json = feed.get("status", {})
        if status.get("phase") in _OVER:
            return status
        if home.running() is not None:
            up = time.monotonic()
        elif time.monotonic() - up > DOWN_SECONDS:
            raise DeckError(f"{DOWN}; Feed {name} goes on then")
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
