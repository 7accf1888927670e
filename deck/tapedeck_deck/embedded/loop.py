"""One running deck: broker, database, recorder, gateway, and the loop that runs its users' resources."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO

import structlog

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import ports, processes, services, warm
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.controllers import decide_deployment, decide_job
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home
from tapedeck_deck.embedded.kubelet import Kubelet
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.reconcile import Reconciler
from tapedeck_deck.embedded.reports import Reports
from tapedeck_deck.embedded.supervise import Supervisor
from tapedeck_operator.plan import Settings

log = structlog.get_logger()

TICK_SECONDS = 0.1
READY_TIMEOUT = 60.0
MIGRATE_TIMEOUT = 120.0
DEFAULT_PORT = 8750
MIN_FREE_BYTES = 512 * 1024 * 1024


class Deck:
    """One deck in this process. ``port`` is the page's; 0 takes the default, or a free one if that is taken."""

    def __init__(self, home: Home, port: int = 0) -> None:
        self._home = home
        home.prepare()
        self._lock = home.lock()
        home.deck_file.unlink(missing_ok=True)
        _check_space(home.root)
        self._port, self._claim = _page_port(port)
        self.objects = Objects(home.objects)
        self.broker = KafkaBroker(home.broker, ports.free_port())
        self.postgres = Postgres(home.database)
        self._kubelet = Kubelet(home, self.objects)
        self._reports = Reports(self._kubelet.urls)
        self._supervisor = Supervisor(self.broker, self.postgres, self.objects)
        self._told_living: list[str] | None = None
        self._over = False

    def start(self) -> Json:
        """Start everything and wait until it is ready; returns what the deck says of itself. Raises DeckError."""
        warm.prepare()
        self.broker.launch()
        self.postgres.start()
        self.broker.wait_ready()
        dsns = {role: self.postgres.dsn(role) for role in services.ROLES.values()}
        self.objects.apply(services.connections(self.broker.bootstrap, dsns))
        self._migrate()
        self._tell_living()
        environment = {
            "TAPEDECK_LIVING_URL": self._home.living.resolve().as_uri(),
            "TAPEDECK_SINKS": str(self._home.sinks),
            "TAPEDECK_SPEC": services.recorder_options(self._home.sinks_file).model_dump_json(by_alias=True),
        }
        self.objects.apply(services.deployment("recorder", extra_env=environment))
        self.objects.apply(services.deployment("gateway", port=self._port))
        self._reconciler = Reconciler(self.objects, self._reports, _settings(self._home))
        self._reports.start()
        facts = {
            "started": time.time(),
            "gateway": f"http://127.0.0.1:{self._port}/",
            "broker": self.broker.bootstrap,
            "dsn": self.postgres.dsn("tapedeck_reader"),
        }
        self._wait_services()
        self._home.announce(facts)
        log.info("ready", **facts)
        return facts

    def run(self) -> None:
        """Work until ``end`` is called."""
        while not self._over:
            began = time.monotonic()
            self.tick()
            time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began)))

    def tick(self) -> None:
        """One round: services, resources, controllers, pods."""
        self._supervisor.tick()
        self._tell_living()  # before there is a pod that makes a topic
        self._reconciler.tick()
        self._control()
        self._kubelet.tick()

    def end(self) -> None:
        """Let ``run`` return."""
        self._over = True

    def stop(self) -> None:
        """End every process that this deck started, pods first."""
        self._home.deck_file.unlink(missing_ok=True)
        with contextlib.suppress(RuntimeError):
            self._reports.stop()
        self._kubelet.stop_all(timeout=15)
        self.postgres.stop()
        self.broker.stop()
        if self._claim is not None:
            self._claim.close()
        self._lock.close()

    def _tell_living(self) -> None:
        uids = sorted(replay["metadata"]["uid"] for replay in self.objects.list("Replay"))
        if uids != self._told_living:
            fresh = self._home.living.with_suffix(".new")
            fresh.write_text(json.dumps(uids))
            fresh.replace(self._home.living)
            self._told_living = uids

    def _control(self) -> None:
        now = time.time()
        pods = self.objects.list("Pod")
        for kind, decide in (("Job", decide_job), ("Deployment", decide_deployment)):
            for owner in self.objects.list(kind):
                metadata = owner["metadata"]
                mine = [p for p in pods if p["metadata"]["ownerReferences"][0]["uid"] == metadata["uid"]]
                decision = decide(owner, mine, now)
                for pod in decision.make:
                    self.objects.apply(pod)
                for name in decision.end:
                    self.objects.delete("Pod", metadata["namespace"], name)
                if decision.status is not None:
                    self.objects.set_status(kind, metadata["namespace"], metadata["name"], decision.status)

    def _migrate(self) -> None:
        folder = self._home.migrate
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        (folder / "kafka_bootstrap").write_text(self.broker.bootstrap)
        (folder / "store_dsn").write_text(self.postgres.dsn())
        log = self._home.logs / "migrate.log"
        migration = warm.start(
            services.IMAGES["migrate"], log=log, env={**os.environ, "TAPEDECK_CONNECTIONS": str(folder)}
        )
        if processes.finish(migration, within=MIGRATE_TIMEOUT):
            raise DeckError(f"cannot bring the schema up to date:\n{processes.tail(log)}")

    def _wait_services(self) -> None:
        deadline = Deadline(READY_TIMEOUT)
        while not self._services_ready():
            if self._over:
                return
            if deadline.passed():
                raise DeckError(
                    f"recorder and gateway did not get ready in {READY_TIMEOUT:.0f} s: see {self._home.logs}"
                )
            self.tick()
            time.sleep(0.05)

    def _services_ready(self) -> bool:
        live = [p for p in self.objects.list("Pod") if p.get("status", {}).get("phase") == "Running"]
        ready = {
            p["metadata"]["labels"]["app.kubernetes.io/name"]
            for p in live
            if self._reports.of(p["metadata"]["uid"]) is not None
        }
        return {"recorder", "gateway"} <= ready


def _settings(home: Home) -> Settings:
    key = home.root / "operator-key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_hex(32).encode())
    return Settings(
        images=services.IMAGES,
        operator_key=key.read_bytes(),
        http_host="127.0.0.1",
        http_port=0,
        files_beside_resource=True,
    )


def _page_port(port: int) -> tuple[int, IO[str] | None]:
    """The page's port and the claim to it. A free one where nobody asked for another and the default is taken."""
    claimed = ports.claim(port or DEFAULT_PORT)
    try:
        if claimed is None:
            raise DeckError(f"--port: got {port}, which another deck has; expected a free port, or leave it out")
        ports.require_free(port or DEFAULT_PORT, "--port")
    except DeckError:
        if claimed is not None:
            claimed.close()
        if port:
            raise
        return ports.free_port(), None
    return port or DEFAULT_PORT, claimed


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise DeckError(
            f"{folder}: got {free // 2**20} MiB of free space, expected at least {MIN_FREE_BYTES // 2**20}; "
            "free some, or choose another --home"
        )
