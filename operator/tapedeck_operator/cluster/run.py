"""The operator's parts, put together, and their life."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid

import structlog

from tapedeck_operator.cluster import watch
from tapedeck_operator.cluster.api import Api, ApiError
from tapedeck_operator.cluster.apply import Applier
from tapedeck_operator.cluster.cache import Cache
from tapedeck_operator.cluster.canary import Canary
from tapedeck_operator.cluster.intake import Intake
from tapedeck_operator.cluster.metrics import QUEUE_AGE, QUEUE_DEPTH
from tapedeck_operator.cluster.poll import Poller
from tapedeck_operator.cluster.queue import WorkQueue
from tapedeck_operator.cluster.reconcile import Reconciler
from tapedeck_operator.cluster.server import serve
from tapedeck_operator.cluster.settings import OperatorSettings
from tapedeck_operator.cluster.silence import Silence

log = structlog.get_logger()
FIRST_SYNC_TRIES = 60
FIRST_SYNC_WAIT = 5.0
RESYNC_SPREAD = 0.1  # of the period


class Operator:
    """One operator process."""

    def __init__(self, settings: OperatorSettings, api: Api) -> None:
        planning = settings.planning()
        self._settings = settings
        self._api = api
        self._stop = asyncio.Event()
        self._synced = False
        self._cache = Cache()
        self._queue = WorkQueue()
        instance = socket.gethostname()
        self._canary = Canary(settings.namespace, f"{instance}-{uuid.uuid4().hex[:8]}", settings.canary_seconds)
        self._silence = Silence(settings.watch_seconds)
        self._poller = Poller(self._cache, lambda key: self._intake.due(key), settings.poll_seconds)
        self._reconciler = Reconciler(
            self._cache, self._queue, self._poller, Applier(api, self._cache, instance), planning
        )
        self._intake = Intake(self._cache, self._queue, self._poller, self._canary, self._reconciler.forget)

    async def run(self) -> None:
        """Work until SIGTERM. Raises what ended it otherwise."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with serve(
            self._settings.http_host,
            self._settings.http_port,
            silent=self._silent,
            ready=lambda: self._synced,
            measure=self._measure,
            replays=lambda: [replay["metadata"]["uid"] for replay in self._cache.all("Replay")],
        ) as port:
            log.info("serving", port=port)
            if await self._first_sync():
                await self._work()

    async def _first_sync(self) -> bool:
        """Know everything before anything is done; False where the end came first."""
        for attempt in range(FIRST_SYNC_TRIES):
            try:
                await self._intake.resync(self._api, self._settings.watch_namespace)
            except ApiError as error:
                log.warning("cannot read the cluster yet; are the CRDs installed?", attempt=attempt, reason=str(error))
                if await self._ended_within(FIRST_SYNC_WAIT):
                    return False
            else:
                self._synced = True
                log.info("in sync")
                return True
        raise RuntimeError(f"could not read the cluster in {FIRST_SYNC_TRIES} attempts")

    async def _work(self) -> None:
        others = [
            asyncio.create_task(part)
            for part in (
                *(self._reconciler.work() for _ in range(self._settings.workers)),
                self._poller.run(),
                self._canary.run(self._api),
                self._resync(),
            )
        ]
        # Last: at its end kopf waits for all tasks that began after it.
        watching = asyncio.create_task(watch.watch(self._intake.seen, self._silence, self._settings.watch_namespace))
        try:
            done, _ = await asyncio.wait([watching, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*others, watching):
                task.cancel()
            await asyncio.gather(*others, watching, return_exceptions=True)

    async def _resync(self) -> None:
        period = self._settings.resync_seconds
        while True:
            await asyncio.sleep(period)
            try:
                await self._intake.resync(self._api, self._settings.watch_namespace, spread=period * RESYNC_SPREAD)
            except ApiError as error:
                log.warning("resync failed", reason=str(error), again=period)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _silent(self) -> list[str]:
        """The kinds whose watches are silent, and the canary's where it does not come back."""
        return sorted({*self._silence.kinds(), *(() if self._canary.alive else ("Lease",))})

    def _measure(self) -> None:
        depth, age = self._queue.state()
        QUEUE_DEPTH.set(depth)
        QUEUE_AGE.set(age)


async def run(settings: OperatorSettings) -> None:
    """Connect and work until SIGTERM."""
    api = await Api.connect()
    try:
        await Operator(settings, api).run()
    finally:
        await api.close()
