"""One running deck: broker, database, recorder and gateway, and the reconciler of its users' resources."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import IO, Any

import structlog

from tapedeck_common.atomic_file import write_atomically
from tapedeck_common.logs import hide_secret
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver, ports, processes, services
from tapedeck_deck.embedded.api_socket import ApiSocket
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.broker_access import ADMIN, BrokerAccess, client_properties
from tapedeck_deck.embedded.controllers import PodControllers
from tapedeck_deck.embedded.disk_space import full_disk, require_space
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.kubelet import Kubelet
from tapedeck_deck.embedded.metrics_server import MetricsServer
from tapedeck_deck.embedded.object_api import ObjectApi
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.postgres import OWNER, Postgres
from tapedeck_deck.embedded.private_files import private_folder, write_private
from tapedeck_deck.embedded.problems import Problems, keep_running
from tapedeck_deck.embedded.prometheus import Prometheus
from tapedeck_deck.embedded.readiness import reported_message, wait_until_answering
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.store_api import StoreApi, routed_to
from tapedeck_deck.embedded.store_watch import StoreWatch
from tapedeck_deck.embedded.supervisor import Supervisor
from tapedeck_deck.embedded.upload_api import UploadApi
from tapedeck_deck.embedded.uploads import Uploads
from tapedeck_operator.plan import Settings, Tracing
from tapedeck_operator.plan.pods import tracing_environment
from tapedeck_operator.reconcile.controller import Controller
from tapedeck_operator.reconcile.status_throttle import StatusThrottle

log = structlog.get_logger()

WORKERS = 4
POLL_SECONDS = 0.15
STATUS_SECONDS = 0.1  # a file can be written far more often than an API server
STATUSES_PER_SECOND = 100.0
SUPERVISE_SECONDS = 2.0  # between two looks at the disk: the end of broker or database is told
SWEEP_SECONDS = 60.0  # between two looks for uploads that nobody needs
REQUEUE_SECONDS = 300.0  # reconcile resources that are not over though nothing changed, as a resync does on a cluster


class EmbeddedCluster:
    """One deck in this process. ``port`` is the page's; 0 takes the default, or a free one if that is taken.

    Pages of ``origins`` may ask the gateway, too. With ``metrics`` a Prometheus runs beside it. ``traces`` is the URL
    to which pods export traces, of every record that may begin one; they trace nothing if it is empty.
    """

    def __init__(
        self,
        state_dir: StateDir,
        port: int = 0,
        origins: Sequence[str] = (),
        *,
        metrics: bool = False,
        traces: str = "",
    ) -> None:
        self._state_dir = state_dir
        state_dir.prepare()
        self._lock = state_dir.lock()
        state_dir.deck_file.unlink(missing_ok=True)
        require_space(state_dir.root)
        self._port, self._claim = _page_port(port)
        self._origins = list(origins)
        self._objects = Objects(state_dir.objects)
        self._problems = Problems(state_dir.problems_file, self._objects.add_event)
        self._watch = StoreWatch(self._objects)
        self._broker = KafkaBroker(state_dir.broker, ports.free_port(), BrokerAccess(_passwords()))
        self._postgres = Postgres(state_dir.database)
        self._supervisor = Supervisor(self._broker, self._postgres, self._problems)
        self._kubelet = Kubelet(state_dir, self._objects, self._problems)
        self._pod_controllers = PodControllers(self._objects, self._problems)
        self._uploads = UploadApi(self._objects, Uploads(state_dir.uploads))
        self._api_socket = ApiSocket(state_dir, ObjectApi(self._objects), self._uploads)
        self._metrics_server = MetricsServer(self._objects, ports.free_port()) if metrics else None
        self._prometheus: Prometheus | None = None
        if self._metrics_server is not None:
            log_file = state_dir.logs / "prometheus.log"
            self._prometheus = Prometheus(state_dir.prometheus, log_file, self._metrics_server.targets_url)
        self._tracing = Tracing(traces, sample_ratio=1.0) if traces else None
        settings = _settings(state_dir, self._tracing)
        self._results_key = settings.results_key
        self._controller = Controller(
            StoreApi(self._objects),
            settings,
            poll_seconds=POLL_SECONDS,
            throttle=StatusThrottle(STATUS_SECONDS, STATUSES_PER_SECOND),
            workers=WORKERS,
        )
        self._replays: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Start broker and database, and migrate the schema. Blocks until both answer. Raises DeckError."""
        forkserver.prepare()
        self._state_dir.await_("the broker and the database")
        self._broker.launch()
        self._postgres.start()
        self._state_dir.await_("the broker")
        self._broker.wait_ready()
        self._objects.apply(services.connections(self._broker.client, self._postgres.dsn_with_password))
        write_private(self._state_dir.kafka_file, client_properties(self._broker.client()))
        self._migrate()
        self._set_replays(self._objects.uids("Replay"))
        traced = {} if self._tracing is None else tracing_environment(self._tracing)
        environment = {
            **traced,
            "TAPEDECK_REPLAY_UIDS_URL": self._state_dir.replays_file.resolve().as_uri(),
            "TAPEDECK_SINKS": str(self._state_dir.sinks),
            "TAPEDECK_SPEC": services.recorder_options(self._state_dir.sinks_file).model_dump_json(by_alias=True),
        }
        self._objects.apply(services.results_key(self._results_key))
        self._objects.apply(services.recorder(environment))
        self._objects.apply(services.gateway_tokens(_new_control_token(self._state_dir)))
        self._objects.apply(services.gateway(self._port, self._origins, self._state_dir.api_socket, traced))

    async def run(self) -> None:
        """Run what ``start`` prepared until ``request_stop``. Raises DeckError where the deck does not become ready.

        A part that fails afterwards is run again, and the deck goes on.
        """
        self._loop = asyncio.get_running_loop()
        # In this order: the recorder must know of a Replay before a pod creates its topic.
        for handler in (
            self._track_replay,
            routed_to(self._controller.router),
            self._pod_controllers.handle,
            self._kubelet.handle,
        ):
            self._watch.subscribe(handler)
        parts = {
            "watch of the objects": self._watch.run,
            "Jobs and Deployments": self._pod_controllers.run,
            "pods": self._kubelet.run,
            "resources of the gateway": self._api_socket.run,
            "removal of old uploads": self._sweep_uploads,
            "supervision of broker and database": self._supervise,
            "regular reconciliation": self._requeue,
            **self._monitoring(),
            **{f"reconciler {number}": loop for number, loop in enumerate(self._controller.loops())},
        }
        tasks = [asyncio.create_task(keep_running(part, run, self._problems)) for part, run in parts.items()]
        try:
            await self._serve()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _monitoring(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        if self._metrics_server is None or self._prometheus is None:
            return {}
        return {"metrics": self._metrics_server.run, "Prometheus": self._prometheus.run}

    def request_stop(self) -> bool:
        """Let ``run`` return; False where it does not run yet. For a signal handler."""
        if self._loop is None:
            return False
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        return True

    def stop(self) -> None:
        """Stop every process that this deck started, pods first."""
        with contextlib.suppress(OSError):  # a disk that became read-only keeps it; a lock tells whether a deck runs
            self._state_dir.deck_file.unlink(missing_ok=True)
        stops: dict[str, Callable[[], None]] = {
            **({} if self._prometheus is None else {"Prometheus": self._prometheus.stop}),
            "pods": lambda: self._kubelet.stop_all(timeout=15),
            "database": self._postgres.stop,
            "broker": self._broker.stop,
        }
        for part, stop in stops.items():
            try:
                stop()
            except Exception as error:  # the others are stopped all the same
                self._problems.report(part, error)
        if self._claim is not None:
            self._claim.close()
        self._lock.close()

    async def _serve(self) -> None:
        """Announce the deck once recorder and gateway answer, and wait until it shall stop."""
        ready = asyncio.create_task(self._wait_ready())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                self._announce()
            await stopped
        finally:
            ready.cancel()
            stopped.cancel()

    def _announce(self) -> None:
        facts = {
            "started": time.time(),
            "gateway": f"http://127.0.0.1:{self._port}/",
            "broker": self._broker.bootstrap,
            "kafka": str(self._state_dir.kafka_file),
            "dsn": self._postgres.dsn("tapedeck_reader"),
            **({} if self._prometheus is None else {"prometheus": self._prometheus.url}),
            **({} if self._tracing is None else {"traces": self._tracing.endpoint}),
        }
        self._state_dir.announce(facts)
        log.info("ready", **facts)

    async def _wait_ready(self) -> None:
        """Wait until recorder and gateway answer. Raises DeckError where they fail or make no progress."""
        for workload in ("recorder", "gateway"):
            self._state_dir.await_(f"the {workload}")
            await wait_until_answering(workload, lambda workload=workload: self._pods_of(workload))  # type: ignore[misc]

    def _pods_of(self, workload: str) -> list[Json]:
        deployment = self._objects.get("Deployment", services.NAMESPACE, workload)
        return self._objects.list("Pod", owner_uid=deployment["metadata"]["uid"])

    async def _supervise(self) -> None:
        while True:
            self._check_disk()
            self._supervisor.check()
            self._problems.store_events()
            await self._supervisor.wait(SUPERVISE_SECONDS)

    async def _sweep_uploads(self) -> None:
        while True:
            await asyncio.to_thread(self._uploads.sweep)
            await asyncio.sleep(SWEEP_SECONDS)

    def _check_disk(self) -> None:
        if (full := full_disk(self._state_dir.root)) is not None:
            self._problems.report("disk", full)
        else:
            self._problems.solved("disk")

    async def _requeue(self) -> None:
        while True:
            await asyncio.sleep(REQUEUE_SECONDS)
            self._controller.router.enqueue_all(spread=REQUEUE_SECONDS / 10)

    def _track_replay(self, change: Change) -> None:
        uid = change.document["metadata"]["uid"]
        if change.document["kind"] == "Replay" and change.deleted == (uid in self._replays):
            self._set_replays(self._replays ^ {uid})

    def _set_replays(self, uids: set[str]) -> None:
        """Raises OSError, and has changed nothing, where the file cannot be written."""
        write_atomically(self._state_dir.replays_file, json.dumps(sorted(uids)))
        self._replays = uids

    def _migrate(self) -> None:
        self._state_dir.await_("the migration of the database")
        folder = self._state_dir.migrate
        private_folder(folder, "the folder of the migration's connections")
        own = self._broker.client() | {"store_dsn": self._postgres.dsn_with_password(OWNER)}
        for name, value in own.items():
            write_private(folder / name, value)
        log_file, left = self._state_dir.logs / "migrate.log", folder / "termination"
        processes.begin_log(log_file)
        left.unlink(missing_ok=True)
        migration = forkserver.start(
            services.IMAGES["migrate"],
            log=log_file,
            env={
                **os.environ,
                "TAPEDECK_CONNECTIONS": str(folder),
                "TAPEDECK_TERMINATION_LOG": str(left),
                "TAPEDECK_KAFKA_USERS": json.dumps([{"workload": name, "name": name} for name in services.ROLES]),
            },
        )
        limit = processes.START_LIMIT_SECONDS
        if processes.wait_finished("the migration of the database", migration, log=log_file, limit=limit):
            message = reported_message(left.read_text()) if left.exists() else ""
            raise DeckError(f"cannot migrate the store: {message or processes.tail(log_file)}")


def _passwords() -> dict[str, str]:
    """New passwords for the broker's accounts: a deck writes them to the files of its pods whenever it starts."""
    passwords = {account: secrets.token_urlsafe(24) for account in (ADMIN, *services.ROLES)}
    for password in passwords.values():
        hide_secret(password)
    return passwords


def _settings(state_dir: StateDir, tracing: Tracing | None) -> Settings:
    return Settings(
        images=services.IMAGES,
        operator_key=_key(state_dir.root / "operator-key"),
        results_key=_key(state_dir.root / "results-key"),
        http_host="127.0.0.1",
        http_port=0,
        files_beside_resource=True,
        endpoints=services.endpoint_policy(state_dir.endpoints_file).model_dump_json(),
        tracing=tracing,
    )


def _key(file: Path) -> bytes:
    if not file.exists():
        write_private(file, secrets.token_hex(32))
    return file.read_bytes()


def _new_control_token(state_dir: StateDir) -> str:
    """Write a new token for changes by the gateway. The earlier one, which may be in a shell's history, ends."""
    token = secrets.token_urlsafe(32)
    write_private(private_folder(state_dir.gateway, "the gateway's folder") / state_dir.control_token_file.name, token)
    return token


def _page_port(port: int) -> tuple[int, IO[str] | None]:
    """The page's port and its reservation. Without ``port`` it is the default, or a free port if that is taken."""
    claimed = ports.claim(port or ports.DEFAULT_PORT)
    try:
        if claimed is None:
            raise DeckError(
                f"--port: got {port}, which another deck has reserved; expected a free port, or leave it out"
            )
        ports.require_free(port or ports.DEFAULT_PORT, "--port")
    except DeckError:
        if claimed is not None:
            claimed.close()
        if port:
            raise
        return ports.free_port(), None
    return port or ports.DEFAULT_PORT, claimed
