"""Real services for the tests: one broker and one database for the whole run, and fresh databases on request."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pydantic import SecretStr

from pods.services import EachStore, Services, fresh_database, start_services
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_deck.embedded import forkserver
from timescale.chroot import Unavailable
from timescale.server import Timescale

pytest_plugins = ["harness.lifetime", "harness.timeouts", "harness.fixtures", "harness.skips", "harness.scheduling"]

# Pods and operators are forked from a process that has loaded their packages, except those that read the environment
# when they are imported.
multiprocessing.set_forkserver_preload([*forkserver.SHARED, "aiohttp.web", "jsonschema", "requests_oauthlib"])

# Hypothesis measures wall time, which says nothing on a busy machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# A shell starts background jobs with SIGINT ignored, which the processes that tests interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """An empty broker and database for the whole run. Tests that kill a service start their own."""
    running = start_services(lambda: tmp_path_factory.mktemp("services"))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def store(services: Services) -> Iterator[str]:
    """The owner's DSN of a fresh, migrated database."""
    with fresh_database(services.postgres.dsn) as name:
        dsn = services.postgres.dsn(database=name)
        upgrade_schema(dsn)
        yield dsn


@pytest.fixture(scope="session")
def timescale(tmp_path_factory: pytest.TempPathFactory, delete_after: Callable[[Path], None]) -> Iterator[Timescale]:
    """A real TimescaleDB for the whole run; skips where this machine cannot run one."""
    try:
        server = Timescale(tmp_path_factory.mktemp("timescale") / "server.log")
    except Unavailable as reason:
        pytest.skip(f"no TimescaleDB: {reason}")
    delete_after(server.home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["plain", pytest.param("apache", marks=pytest.mark.timescale)])
def each_store(request: pytest.FixtureRequest) -> Iterator[EachStore]:
    """Runs a test on each kind of database."""
    server = request.getfixturevalue("services").postgres if request.param == "plain" else None
    server = server or request.getfixturevalue("timescale")
    with fresh_database(server.dsn) as name:
        yield EachStore(request.param, lambda role: str(server.dsn(role, name)))


@pytest.fixture
def connections(services: Services, store: str) -> Connections:
    """Connections to the broker and the fresh database, as its owner."""
    return Connections(kafka_bootstrap=services.broker.bootstrap, store_dsn=SecretStr(store))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The shipped sample data."""
    return Path(__file__).parents[1] / "examples" / "data"


os.environ.setdefault("PYTHONUNBUFFERED", "1")
