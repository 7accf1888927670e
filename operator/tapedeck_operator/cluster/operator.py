"""The operator process: the reconciler, its watches, its health and their lifecycle."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid

import structlog
from prometheus_client.registry import REGISTRY

from tapedeck_crds.json import Json
from tapedeck_operator.cluster import watch
from tapedeck_operator.cluster.api_server import ApiServer
from tapedeck_operator.cluster.metrics import MISSED_EVENTS, QUEUE_AGE, QUEUE_DEPTH
from tapedeck_operator.cluster.server import serve
from tapedeck_operator.cluster.settings import OperatorSettings
from tapedeck_operator.cluster.watch_liveness import WatchLiveness
from tapedeck_operator.cluster.watch_probe import WatchProbe
from tapedeck_operator.reconcile.api import WATCHED_KINDS
from tapedeck_operator.reconcile.controller import Controller
from tapedeck_operator.reconcile.errors import ResourceApiError
from tapedeck_operator.reconcile.resource_metrics import ResourceMetrics
from tapedeck_operator.reconcile.status_throttle import StatusThrottle

log = structlog.get_logger()
FIRST_SYNC_ATTEMPTS = 60
FIRST_SYNC_WAIT = 5.0
RESYNC_SPREAD = 0.1  # of the period


class Operator:
    """One operator process. Raises ValueError where the settings' key is unusable."""

    def __init__(self, settings: OperatorSettings, api: ApiServer, instance: str) -> None:
        self._settings = settings
        self._api = api
        self._stop = asyncio.Event()
        self._synced = False
        self._probe = WatchProbe(settings.namespace, f"{instance}-{uuid.uuid4().hex[:8]}", settings.probe_seconds)
        self._liveness = WatchLiveness(settings.watch_seconds)
        self._controller = Controller(
            api,
            settings.planning(),
            poll_seconds=settings.poll_seconds,
            throttle=StatusThrottle(),
            workers=settings.workers,
        )

    async def run(self) -> None:
        """Run until SIGTERM. Raises the error of a part that fails."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        resources = ResourceMetrics(self._controller.cache.list)
        REGISTRY.register(resources)
        try:
            await self._serve()
        finally:
            REGISTRY.unregister(resources)

    async def _serve(self) -> None:
        async with serve(
            self._settings.http_host,
            self._settings.http_port,
            silent_kinds=self._silent_kinds,
            ready=lambda: self._synced,
            update_gauges=self._update_gauges,
            replay_uids=lambda: [replay["metadata"]["uid"] for replay in self._controller.cache.list("Replay")],
        ) as port:
            log.info("serving", port=port)
            if await self._first_sync():
                await self._work()

    async def _first_sync(self) -> bool:
        """Fill the cache before anything is reconciled; False where a signal came first."""
        for attempt in range(FIRST_SYNC_ATTEMPTS):
            try:
                await self._list_all()
            except ResourceApiError as error:
                log.warning("cannot read the cluster yet; are the CRDs installed?", attempt=attempt, reason=str(error))
                if await self._stopped_within(FIRST_SYNC_WAIT):
                    return False
            else:
                self._controller.router.enqueue_all(spread=0.0)
                self._synced = True
                log.info("in sync")
                return True
        raise RuntimeError(f"could not read the cluster in {FIRST_SYNC_ATTEMPTS} attempts")

    async def _work(self) -> None:
        loops = (*(loop() for loop in self._controller.loops()), self._probe.run(self._api), self._resync())
        tasks = [asyncio.create_task(loop) for loop in loops]
        # Last: when kopf ends, it waits for all tasks that were created after it.
        watching = asyncio.create_task(watch.watch(self._on_event, self._liveness, self._settings.watch_namespace))
        try:
            done, _ = await asyncio.wait([watching, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, watching):
                task.cancel()
            await asyncio.gather(*tasks, watching, return_exceptions=True)

    def _on_event(self, kind: str, event_type: str | None, document: Json) -> None:
        if kind == "Lease":
            self._probe.observe(document)
        else:
            self._controller.router.handle(kind, event_type, document)

    async def _resync(self) -> None:
        """Repair what the watches missed, and reconcile every resource that is not over, once a period."""
        period = self._settings.resync_seconds
        while True:
            await asyncio.sleep(period)
            try:
                await self._list_all()
            except ResourceApiError as error:
                log.warning("resync failed", reason=str(error), retry_seconds=period)
            else:
                self._controller.router.enqueue_all(spread=period * RESYNC_SPREAD)

    async def _list_all(self) -> None:
        """Replace the cache with lists of the API server. Raises ResourceApiError."""
        for kind in WATCHED_KINDS:
            _, selector = watch.WATCHED[kind]
            documents, version = await self._api.list(kind, self._settings.watch_namespace, selector)
            MISSED_EVENTS.labels(kind).inc(self._controller.router.replace(kind, documents, version))

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _silent_kinds(self) -> list[str]:
        """The kinds whose watches are silent, and Lease where the probe fails."""
        return sorted({*self._liveness.silent_kinds(), *(() if self._probe.healthy else ("Lease",))})

    def _update_gauges(self) -> None:
        depth, age = self._controller.queue.state()
        QUEUE_DEPTH.set(depth)
        QUEUE_AGE.set(age)


async def run(settings: OperatorSettings) -> None:
    """Connect to the API server and run the operator until SIGTERM."""
    instance = socket.gethostname()
    api = await ApiServer.connect(instance)
    try:
        await Operator(settings, api, instance).run()
    finally:
        await api.close()
