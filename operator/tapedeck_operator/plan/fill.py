"""The bars that a Replay's range lacks: a Feed of its own asks the exchange for them before anything is played."""

from __future__ import annotations

from hashlib import sha256

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, Feed, Replay
from tapedeck_operator.plan import names
from tapedeck_operator.plan.status import Verdict
from tapedeck_operator.plan.types import Observed


def fill_name(replay: Replay) -> str:
    """``fill-<8 hex of sha256(uid)>``: a resource's name may not be as long as those of other children."""
    return f"fill-{sha256(replay.metadata.uid.encode()).hexdigest()[:8]}"


def fill_feed(replay: Replay) -> Json | None:
    """The Feed that brings what is missing, None where nothing of the kind is wanted.

    It does not ask for bars that the store has, and goes with the Replay.
    """
    source = replay.spec.source
    wanted, endpoints = source.store, source.endpoints
    if not source.fill or wanted is None:
        return None
    past = {"from": wanted.from_, "to": wanted.to, "intervals": [wanted.interval], "only": True}
    return {
        "apiVersion": API_VERSION,
        "kind": "Feed",
        "metadata": {**names.child_metadata(replay), "name": fill_name(replay)},
        "spec": {
            "exchange": wanted.exchange,
            "symbols": list(wanted.symbols),
            "channels": ["bars"],
            "backfill": {name: value for name, value in past.items() if value is not None},
            **({} if endpoints is None else {"endpoints": endpoints.model_dump(by_alias=True, exclude_none=True)}),
        },
    }


def filling(feed: Feed | None) -> Verdict | None:
    """What to say of the Replay while its Feed is at work, and where that failed; None once all is brought."""
    status = feed.status if feed is not None else None
    if feed is None or status is None:
        return Verdict("Pending", "Filling", "missing bars are asked of the exchange")
    said = status.message or ""
    if status.phase == "Failed":
        message = f"source.fill: Feed {feed.metadata.name} failed: {said}"
        return Verdict("Failed", "FillFailed", message, trouble=True)
    if status.phase == "Complete":
        return None
    return Verdict("Pending", "Filling", f"Feed {feed.metadata.name} asks the exchange for missing bars: {said}")


def fill_of(replay: Replay, observed: Observed) -> tuple[Verdict, tuple[Json, ...]] | None:
    """What to say and to make before the Replay itself begins; None where that may begin."""
    wanted = fill_feed(replay)
    if wanted is None or observed.job is not None:
        return None
    verdict = filling(observed.fill_feed)
    if verdict is None:
        return None
    return verdict, (wanted,) if observed.fill_feed is None else ()
