"""Real services for the tests: one broker and one database for the whole run, a fresh database for who asks."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from pods.services import EachStore, Services, fresh_database
from tapedeck_common import topics
from tapedeck_common.kafka import admin, ensure_topics
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import migrate
from tapedeck_deck.embedded import warm
from tapedeck_deck.embedded.broker import Broker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres
from timescale.chroot import Unavailable
from timescale.server import Timescale

# What pods and operators are forked from has the packages of both, but for those that read the environment when loaded.
multiprocessing.set_forkserver_preload([*warm.SHARED, "aiohttp.web", "jsonschema", "requests_oauthlib"])

# What a shell starts in the background ignores SIGINT, and so would all that the tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Broker and database, empty, for the whole run. Tests that kill a service start their own."""
    folder = tmp_path_factory.mktemp("services")
    running = Services(Broker(folder / "kafka", free_port()), Postgres(folder / "postgres"))
    try:
        running.broker.launch()
        running.postgres.start()
        running.broker.wait_ready()
        ensure_topics(admin(running.connections(), "tests"), topics.STANDING, topics.STANDING_PARTITIONS)
        yield running
    finally:
        running.broker.stop()
        running.postgres.stop()


@pytest.fixture
def store(services: Services) -> Iterator[str]:
    """The superuser's DSN of a fresh, migrated database."""
    with fresh_database(services.postgres.dsn) as name:
        dsn = services.postgres.dsn(database=name)
        migrate(dsn)
        yield dsn


@pytest.fixture(scope="session")
def timescale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timescale]:
    """A real TimescaleDB for the whole run; skips where this machine can't have one."""
    try:
        server = Timescale(tmp_path_factory.mktemp("timescale") / "server.log")
    except Unavailable as reason:
        pytest.skip(f"no TimescaleDB: {reason}")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["plain", pytest.param("apache", marks=pytest.mark.timescale)])
def each_store(request: pytest.FixtureRequest) -> Iterator[EachStore]:
    """A test with it runs on both kinds of database."""
    server = request.getfixturevalue("services").postgres if request.param == "plain" else None
    server = server or request.getfixturevalue("timescale")
    with fresh_database(server.dsn) as name:
        yield EachStore(request.param, lambda role: str(server.dsn(role, name)))


@pytest.fixture
def connections(services: Services, store: str) -> Connections:
    """How to reach the broker and the fresh database, as superuser."""
    return Connections(kafka_bootstrap=services.broker.bootstrap, store_dsn=SecretStr(store))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The shipped sample data."""
    return Path(__file__).parents[1] / "examples" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """A base folder of this run's own: pytest closes its common one to the user that Postgres runs as."""
    if config.option.basetemp is None:
        config.option.basetemp = Path(tempfile.mkdtemp(prefix="tapedeck-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


class ByPlace(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file one after another on one worker; those of a folder that share a deck or a server, too."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, _ = nodeid.rpartition("/")
        return folder if folder.rpartition("/")[2].startswith("on_a") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByPlace | None:
    return ByPlace(config, log) if config.getvalue("dist") == "loadfile" else None


os.environ.setdefault("PYTHONUNBUFFERED", "1")
