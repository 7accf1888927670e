"""The reconciler's parts put together: what the operator and the deck each run one of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from tapedeck_operator.plan import Settings
from tapedeck_operator.reconcile.api import ObjectKey, ResourceApi
from tapedeck_operator.reconcile.applier import Applier
from tapedeck_operator.reconcile.cache import ObjectCache
from tapedeck_operator.reconcile.event_router import EventRouter
from tapedeck_operator.reconcile.pod_poller import PodPoller
from tapedeck_operator.reconcile.reconciler import Reconciler
from tapedeck_operator.reconcile.status_throttle import StatusThrottle
from tapedeck_operator.reconcile.work_queue import WorkQueue

log = structlog.get_logger()


class Controller:
    """Watch events enter at ``router``; ``loops`` reconcile what they queue, over ``api``."""

    def __init__(
        self, api: ResourceApi, settings: Settings, *, poll_seconds: float, throttle: StatusThrottle, workers: int
    ) -> None:
        self.cache = ObjectCache()
        self.queue = WorkQueue()
        self._workers = workers
        self._poller = PodPoller(self.cache, self._enqueue, poll_seconds)
        self._reconciler = Reconciler(
            self.cache, self.queue, self._poller, Applier(api, self.cache), settings, throttle
        )
        self.router = EventRouter(
            self.cache, self.queue, self._poller, enqueue=self._enqueue, on_deleted=self._reconciler.forget
        )

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled: the workers, and the poller of their pods."""
        return [*(self._reconciler.work for _ in range(self._workers)), self._poller.run]

    def _enqueue(self, key: ObjectKey) -> None:
        if not self.queue.add(key):
            log.error("the work queue is full; the next resync queues this resource", **key._asdict())
