"""`tapedeck fetch`: download bars of exchanges, each by a Feed that is a backfill alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tapedeck_crds.base import format_ms, parse_time
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.cli.feed_runs import run_feeds
from tapedeck_deck.cli.moments import parse_moment, parse_span
from tapedeck_deck.cli.offers import NoOffer, offers_of, size
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

TTL_SECONDS = 3600
EVERY = ("*",)


@dataclass(frozen=True)
class ExchangeAccess:
    """How exchanges are reached: another base URL of their REST API, and a Secret with the key, where needed."""

    rest: str | None = None
    key_secret: str | None = None

    def spec(self, exchange: str, symbols: Sequence[str]) -> Json:
        """The spec of a Feed of an exchange's symbols."""
        found: Json = {"exchange": exchange, "symbols": list(symbols)}
        if self.key_secret is not None:
            found["apiKeySecret"] = self.key_secret
        return found | ({"endpoints": {"rest": self.rest}} if self.rest is not None else {})


def parse_range(start: str | None, last: str | None, end: str | None, now: datetime) -> tuple[str, str | None]:
    """From and to of --start or --last, and --end, as resources write them. Raises DeckError."""
    to = None if end is None else parse_moment("--end", end)
    if (start is None) == (last is None):
        raise DeckError("expected --start, the first open time, or --last, such as 30d, with --symbols")
    if last is not None:
        before = now if to is None else parse_time(to)
        return format_ms(round((before - parse_span("--last", last)).timestamp()) * 1_000), to
    since = parse_moment("--start", start or "")
    if parse_time(since) >= now:
        raise DeckError(f"--start: got {start}, expected a time before now")
    return since, to


def fetch_specs(
    exchanges: Sequence[str], symbols: Sequence[str], span: tuple[str, str | None], intervals: Sequence[str], pods: int,
    connection: ExchangeAccess,
) -> list[Json]:  # fmt: skip
    """The spec of a Feed of each exchange."""
    since, to = span
    backfill: Json = {"from": since, "intervals": list(intervals), "shards": pods, "only": True}
    if to is not None:
        backfill["to"] = to
    names = separate(symbols)
    return [
        connection.spec(exchange, names) | {"backfill": dict(backfill), "ttlSecondsAfterFinished": TTL_SECONDS}
        for exchange in separate(exchanges)
    ]


def separate(texts: Sequence[str]) -> list[str]:
    """The names of options that are repeated or have commas, each once."""
    return list(dict.fromkeys(name for text in texts for name in text.split(",") if name))


def list_offers(home: StateDir, exchanges: Sequence[str], connection: ExchangeAccess) -> list[Json]:
    """What exchanges have. Raises DeckError where one cannot be asked."""
    found = offers_of(home, [connection.spec(exchange, EVERY) for exchange in separate(exchanges)])
    errors = [each for each in found if isinstance(each, NoOffer)]
    if errors:
        raise DeckError("\n".join(map(str, errors)))
    return [each for each in found if not isinstance(each, NoOffer)]


def say_sizes(home: StateDir, specs: Sequence[Json]) -> None:
    """Say how many requests, and how long, each download takes. Raises DeckError where one cannot succeed."""
    found = offers_of(home, specs)
    wrong = [
        str(offer) for spec, offer in zip(specs, found, strict=True)
        if isinstance(offer, NoOffer) and offer.is_final and "apiKeySecret" not in spec
    ]  # fmt: skip
    if wrong:
        raise DeckError("\n".join(wrong))
    for spec, offer in zip(specs, found, strict=True):
        if isinstance(offer, NoOffer):
            print_note(f"{spec['exchange']}: it is not known how long this takes: {offer}")
        else:
            print_note(size(offer))


def fetch(home: StateDir, specs: Sequence[Json], console: Console) -> list[Json]:
    """Create the Feeds, show their progress, wait for their ends and return the results.

    Raises DeckError if one failed.
    """
    if home.running() is None:
        raise DeckError(NOT_RUNNING)
    say_sizes(home, specs)
    names = [f"fetch-{spec['exchange']}-{uuid.uuid4().hex[:8]}" for spec in specs]
    feeds = [
        Document(
            "fetch", Path.cwd(), {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": name}, "spec": spec}
        )
        for name, spec in zip(names, specs, strict=True)
    ]
    statuses = run_feeds(home, feeds, console)
    return [_result(*each) for each in zip(names, specs, statuses, strict=True)]


def now() -> datetime:
    """The time before which ranges end."""
    return datetime.now(UTC)


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
