"""Where watches and resyncs come in: the cache is brought up to date, and who is concerned becomes due."""

from __future__ import annotations

import random
from collections.abc import Callable

import structlog

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_operator.cluster.api import Api
from tapedeck_operator.cluster.cache import Cache, Key, key_of, version
from tapedeck_operator.cluster.canary import Canary
from tapedeck_operator.cluster.metrics import MISSED, WATCH_EVENTS
from tapedeck_operator.cluster.poll import Poller
from tapedeck_operator.cluster.queue import WorkQueue
from tapedeck_operator.cluster.watch import WATCHED

log = structlog.get_logger()


class Intake:
    """``forget`` hears the uid of each resource that is gone."""

    def __init__(
        self, cache: Cache, queue: WorkQueue, poller: Poller, canary: Canary, forget: Callable[[str], None]
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._poller = poller
        self._canary = canary
        self._forget = forget

    def seen(self, kind: str, what: str | None, document: Json) -> None:
        """An event of a watch."""
        WATCH_EVENTS.labels(kind).inc()
        if kind == "Lease":
            self._canary.echo(document)
        elif what == "DELETED":
            self._gone(kind, document)
        else:
            self._take(kind, document)

    async def resync(self, api: Api, namespace: str, *, spread: float = 0.0) -> None:
        """Read everything, mend what the watches missed, and have each resource done within ``spread`` seconds.

        Raises ApiError.
        """
        for kind, (_, selector) in WATCHED.items():
            if kind == "Lease":
                continue
            listed = await api.list(kind, namespace, selector)
            upto = int(listed["metadata"]["resourceVersion"])
            there = set()
            for item in listed["items"]:
                there.add(key_of(kind, item))
                item |= {"kind": kind, "apiVersion": listed["apiVersion"]}
                if self._take(kind, item):
                    MISSED.labels(kind).inc()
            for known in self._cache.all(kind):
                if key_of(kind, known) not in there and version(known) <= upto:
                    self._gone(kind, known)
                    MISSED.labels(kind).inc()
        for kind in KINDS:
            for document in self._cache.all(kind):
                self._queue.add(key_of(kind, document), random.uniform(0.0, spread))

    def due(self, key: Key) -> None:
        """Have a resource done."""
        if not self._queue.add(key):
            log.error("the queue is full; the next resync will find it", key=key)

    def _take(self, kind: str, document: Json) -> bool:
        changed = self._cache.put(kind, document)
        if kind == "Replay":  # also what the operator wrote itself: who is bound to it waits for its phase
            self._dependents(document)
        elif kind == "Feed" and document.get("status", {}).get("phase") in FINAL_PHASES:
            self._fed(document)
        if changed:
            self._concerned(kind, document)
        return changed

    def _gone(self, kind: str, document: Json) -> None:
        owner = self._cache.owner(document)
        if not self._cache.drop(kind, document):
            return
        if kind in KINDS:
            self._forget(document["metadata"]["uid"])
            if kind == "Replay":
                self._dependents(document)
            elif kind == "Feed":
                self._fed(document)
        elif kind == "Pod":
            self._poller.forget(document["metadata"]["uid"])
        if owner is not None:
            self.due(owner)

    def _concerned(self, kind: str, document: Json) -> None:
        if kind in KINDS:
            self.due(key_of(kind, document))
            return
        if kind == "Pod":
            self._poller.note(document)
        owner = self._cache.owner(document)
        if owner is not None:
            self.due(owner)

    def _fed(self, feed: Json) -> None:
        """The runs of its namespace that may have waited for this Feed."""
        for kind in ("Replay", "Backtest"):
            for document in self._cache.all(kind):
                if (
                    document["metadata"]["namespace"] == feed["metadata"]["namespace"]
                    and document.get("status", {}).get("phase") == "Pending"
                ):
                    self.due(key_of(kind, document))

    def _dependents(self, replay: Json) -> None:
        """Those of its namespace that name this Replay and are not over, and the one whose clock it follows."""
        namespace, name = replay["metadata"]["namespace"], replay["metadata"]["name"]
        leader = (replay["spec"].get("clock") or {}).get("follow")
        for kind in ("Backtest", "Replay"):
            for document in self._cache.all(kind):
                spec, metadata = document["spec"], document["metadata"]
                named = (spec.get("data", {}).get("replay") or {}).get("name") or (spec.get("clock") or {}).get(
                    "follow"
                )
                if (
                    metadata["namespace"] == namespace
                    and (named == name or (kind == "Replay" and metadata["name"] == leader))
                    and document.get("status", {}).get("phase") not in FINAL_PHASES
                ):
                    self.due(key_of(kind, document))
