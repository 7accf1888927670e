"""Routes changes of the API's objects: updates the cache and queues every resource that a change affects."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import is_finished
from tapedeck_operator.reconcile.api import ObjectKey, key_of, version_of
from tapedeck_operator.reconcile.cache import ObjectCache, replay_name
from tapedeck_operator.reconcile.pod_poller import PodPoller
from tapedeck_operator.reconcile.work_queue import WorkQueue


class EventRouter:
    """``enqueue`` queues a resource; ``on_deleted`` is called with the uid of each deleted resource."""

    def __init__(
        self,
        cache: ObjectCache,
        queue: WorkQueue,
        poller: PodPoller,
        *,
        enqueue: Callable[[ObjectKey], None],
        on_deleted: Callable[[str], None],
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._poller = poller
        self._enqueue = enqueue
        self._on_deleted = on_deleted

    def handle(self, kind: str, event_type: str | None, document: Json) -> None:
        """An event of a watch: ADDED, MODIFIED, DELETED, or None for an object of the initial list."""
        if event_type == "DELETED":
            self._remove(kind, document)
        else:
            self._update(kind, document)

    def replace(self, kind: str, documents: Iterable[Json], version: int) -> int:
        """A complete list of a kind at a resourceVersion; returns how many changes no watch event reported."""
        missed = 0
        listed = set()
        for document in documents:
            listed.add(key_of(kind, document))
            missed += self._update(kind, document)
        for cached in self._cache.list(kind):
            if key_of(kind, cached) not in listed and version_of(cached) <= version:
                self._remove(kind, cached)
                missed += 1
        return missed

    def enqueue_all(self, spread: float) -> None:
        """Queue every resource that is not over, at random times within ``spread`` seconds."""
        for kind in KINDS:
            for document in self._cache.list(kind):
                if not _is_over(document):
                    self._queue.add(key_of(kind, document), random.uniform(0.0, spread))

    def _update(self, kind: str, document: Json) -> bool:
        changed = self._cache.put(kind, document)
        if kind == "Replay":  # also the reconciler's own writes: bound runs wait for the phase
            self._enqueue_dependents(document)
        elif kind == "Feed" and is_finished(document):
            self._enqueue_waiting_runs(document)
        if changed:
            self._enqueue_affected(kind, document)
        return changed

    def _remove(self, kind: str, document: Json) -> None:
        removed = self._cache.remove(kind, document)
        if removed is None:
            return
        if kind in KINDS:
            self._on_deleted(removed["metadata"]["uid"])
            if kind == "Replay":
                self._enqueue_dependents(removed)
            elif kind == "Feed":
                self._enqueue_waiting_runs(removed)
        elif kind == "Pod":
            self._poller.forget(removed["metadata"]["uid"])
        if (owner := self._cache.owner(removed)) is not None:
            self._enqueue(owner)

    def _enqueue_affected(self, kind: str, document: Json) -> None:
        """Queue a changed resource itself, or the owner of a changed child."""
        if kind in KINDS:
            if not _is_over(document):
                self._enqueue(key_of(kind, document))
            return
        if kind == "Pod":
            self._poller.track(document)
        if (owner := self._cache.owner(document)) is not None:
            self._enqueue(owner)

    def _enqueue_waiting_runs(self, feed: Json) -> None:
        """Queue the pending runs of a Feed's namespace: they may wait for its end."""
        for kind in ("Replay", "Backtest"):
            for document in self._cache.unfinished(kind, feed["metadata"]["namespace"]):
                if document.get("status", {}).get("phase") == "Pending":
                    self._enqueue(key_of(kind, document))

    def _enqueue_dependents(self, replay: Json) -> None:
        """Queue the unfinished runs that name a Replay, and the leader whose clock it follows."""
        metadata = replay["metadata"]
        affected = self._cache.dependents(metadata["namespace"], metadata["name"])
        if (leader := replay_name(replay)) is not None:
            document = self._cache.get("Replay", metadata["namespace"], leader)
            affected += [document] if document is not None else []
        for document in affected:
            if not is_finished(document):
                self._enqueue(key_of(document["kind"], document))


def _is_over(document: Json) -> bool:
    """Whether a resource is finished, its status is about its present spec, and it is kept until somebody deletes it.

    A plan of such a resource is what it has already.
    """
    generation = document["metadata"].get("generation")
    expires = (document.get("spec") or {}).get("ttlSecondsAfterFinished") is not None
    return is_finished(document) and document["status"].get("observedGeneration") == generation and not expires
