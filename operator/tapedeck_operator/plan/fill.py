"""``source.fill`` of a Replay: a Feed of its own downloads the bars missing from the range before the Replay starts."""

from __future__ import annotations

from hashlib import sha256

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, Feed, Replay
from tapedeck_crds.resource import SUCCESSFUL_PHASES
from tapedeck_operator.plan import names, reasons
from tapedeck_operator.plan.run_status import RunStatus
from tapedeck_operator.plan.types import Observed


def fill_name(replay: Replay) -> str:
    """``fill-<8 hex of sha256(uid)>``. The name of a resource is limited to 40 characters, so it lacks the Replay's."""
    return f"fill-{sha256(replay.metadata.uid.encode()).hexdigest()[:8]}"


def fill_before_start(replay: Replay, observed: Observed) -> tuple[RunStatus, tuple[Json, ...]] | None:
    """The Replay's state and the Feed to apply while bars are being downloaded; None once the Replay may start."""
    desired = _fill_feed(replay)
    if desired is None or observed.job is not None:
        return None
    state = _fill_status(observed.fill_feed)
    if state is None:
        return None
    return state, (desired,) if observed.fill_feed is None else ()


def _fill_feed(replay: Replay) -> Json | None:
    """The Feed, owned by the Replay, that downloads the missing bars; None without ``source.fill``.

    A backfill skips bars that are already stored.
    """
    source = replay.spec.source
    store, endpoints = source.store, source.endpoints
    if not source.fill or store is None:
        return None
    backfill = {"from": store.from_, "to": store.to, "intervals": [store.interval], "only": True}
    return {
        "apiVersion": API_VERSION,
        "kind": "Feed",
        "metadata": {**names.child_metadata(replay), "name": fill_name(replay)},
        "spec": {
            "exchange": store.exchange,
            "symbols": list(store.symbols),
            "channels": ["bars"],
            "backfill": {name: value for name, value in backfill.items() if value is not None},
            **({} if endpoints is None else {"endpoints": endpoints.model_dump(by_alias=True, exclude_none=True)}),
        },
    }


def _fill_status(feed: Feed | None) -> RunStatus | None:
    """The Replay's state while the Feed runs and after it failed; None once the Feed is complete."""
    status = feed.status if feed is not None else None
    if feed is None or status is None:
        return RunStatus("Pending", reasons.FILLING, "a Feed downloads the missing bars")
    name, message = feed.metadata.name, status.message or ""
    if status.phase == "Failed":
        return RunStatus("Failed", reasons.FILL_FAILED, f"source.fill: Feed {name} failed: {message}", warning=True)
    if status.phase in SUCCESSFUL_PHASES:
        return None
    return RunStatus("Pending", reasons.FILLING, f"Feed {name} downloads the missing bars: {message}")
