"""What another user of the machine, and a process of the deck itself, can reach on a running deck."""

from __future__ import annotations

import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from decks.process import Deck, broker_of
from tapedeck_deck.embedded.postgres import DATABASE, OWNER, ROLES, SUPERUSER, Postgres
from tapedeck_deck.embedded.state_dir import StateDir

pytestmark = pytest.mark.slow
NOBODY = 65534
WORKLOADS = ("feed", "replay", "transform", "backtest", "recorder", "gateway")
SILENT = logging.getLogger("librdkafka.refused")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def processes_of(facts: dict[str, int]) -> Iterator[psutil.Process]:
    daemon = psutil.Process(facts["pid"])
    yield from (daemon, *daemon.children(recursive=True))


def modes(root: Path) -> Iterator[tuple[Path, int]]:
    """What is in a folder with its mode, but for links, and for what is deleted meanwhile."""
    for folder, _, files in os.walk(root):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            with suppress(FileNotFoundError):
                if not stat.S_ISLNK(mode := path.lstat().st_mode):
                    yield path, mode


def test_no_file_of_a_deck_can_be_read_by_others(standing_deck: Deck) -> None:
    home, _, _ = standing_deck
    found = dict(modes(home.root))
    assert {"objects.db", "postgres.log", "broker.log", "server.properties", "PG_VERSION"} <= {p.name for p in found}
    assert [str(path) for path, mode in found.items() if stat.S_ISDIR(mode) and mode & 0o077] == []
    # Mapped files of the JVM have modes of its own; their folders keep others out.
    mapped = (".index", ".timeindex", ".txnindex")
    written = {path: mode for path, mode in found.items() if stat.S_ISREG(mode) and path.suffix not in mapped}
    assert [str(path) for path, mode in written.items() if mode & 0o077] == []


def test_another_user_reaches_neither_home_nor_database(standing_deck: Deck) -> None:
    home, _, _ = standing_deck
    code = (
        "import os, socket, sys\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))\n"
        "else: sys.exit(0 if os.stat(sys.argv[1]).st_mode & 0o77 == 0 else 'open to others')\n"
        "for attempt in (lambda: os.listdir(sys.argv[1]), lambda: os.listdir(sys.argv[2]),\n"
        "                lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[2] + '/.s.PGSQL.5432')):\n"
        "    try: attempt()\n"
        "    except PermissionError: continue\n"
        "    sys.exit('allowed')\n"
    )
    command = [sys.executable, "-c", code, str(home.root), str(Postgres(home.database).sockets), str(NOBODY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("role", [SUPERUSER, *ROLES])
def test_no_role_logs_in_without_its_password(standing_deck: Deck, role: str) -> None:
    sockets = Postgres(standing_deck[0].database).sockets
    for password in ("", role, "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(sockets), user=role, dbname=DATABASE, password=password).close()


@pytest.mark.parametrize("role", ROLES)
def test_no_role_of_a_deck_runs_programs_or_reads_files(standing_deck: Deck, role: str) -> None:
    for statement in (
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SELECT pg_read_file('PG_VERSION')",
    ):
        with (
            psycopg.connect(Postgres(standing_deck[0].database).dsn(role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


def test_a_pod_holds_the_passwords_of_its_own_accounts_alone(standing_deck: Deck) -> None:
    home, facts, _ = standing_deck
    secrets = passwords(home)
    assert len(set(secrets.values())) == len(secrets) == len(ROLES) + len(WORKLOADS) + 1
    for name in ("gateway", "recorder"):
        pods = [path for path in home.pods.iterdir() if path.name.startswith(f"{name}-")]
        assert pods  # several where one was started again
        text = "".join(path.read_text() for pod in pods for path in pod.rglob("*") if path.is_file())
        role = "tapedeck_recorder" if name == "recorder" else "tapedeck_reader"
        assert {account for account, secret in secrets.items() if secret in text} == {name, role}
    for process in processes_of(facts):
        said: list[str] = []
        with suppress(psutil.NoSuchProcess):  # a backend of the database ends with its connection
            said = [*process.cmdline(), *process.environ().values()]
        assert [word for word in said if any(secret in word for secret in secrets.values())] == []


def passwords(home: StateDir) -> dict[str, str]:
    """The password of each account of the deck."""
    database = Postgres(home.database)
    found = {role: database.dsn_with_password(role).split(":")[2].split("@")[0] for role in ROLES}
    properties = (home.broker / "server.properties").read_text()
    return found | dict(re.findall(r'user_(\w+)="([^"]+)"', properties))


def test_the_broker_answers_no_one_without_a_password(standing_deck: Deck) -> None:
    home, facts, _ = standing_deck
    properties = (home.broker / "server.properties").read_text()
    (addresses,) = re.findall(r"^listeners=(.*)$", properties, re.MULTILINE)
    ports = re.findall(r":(\d+)", addresses)
    assert len(ports) == 2  # the clients' and the controller's
    guarded = broker_of(facts)
    for port in ports:
        for account in ({}, guarded | {"sasl.password": "owner"}, guarded | {"sasl.username": "admin"}):
            config: dict[str, Any] = {**account, "bootstrap.servers": f"127.0.0.1:{port}", "logger": SILENT}
            client = AdminClient(config)
            with pytest.raises(KafkaException):
                client.list_topics(timeout=1)
    assert "market.bars" in AdminClient({**guarded}).list_topics(timeout=20).topics


def test_an_account_of_the_broker_has_the_rights_of_its_workload_alone(standing_deck: Deck) -> None:
    home, facts, _ = standing_deck
    account = {"sasl.username": "backtest", "sasl.password": passwords(home)["backtest"]}
    writer = Producer(broker_of(facts) | account | {"enable.idempotence": False, "logger": SILENT})
    assert "backtest.results" in writer.list_topics(timeout=20).topics
    refused: list[KafkaError | None] = []
    writer.produce("market.bars", b"{}", on_delivery=lambda error, _: refused.append(error))
    assert writer.flush(20) == 0
    assert [error and error.code() for error in refused] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


def test_the_database_has_neither_the_user_nor_the_groups_of_root(standing_deck: Deck) -> None:
    _, facts, _ = standing_deck
    (server,) = (p for p in psutil.Process(facts["pid"]).children() if p.name() == "postgres")
    assert 0 not in {*server.uids(), *server.gids()}
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
    groups = {int(number) for number in status["Groups"].split()}
    assert groups == (set() if os.geteuid() == 0 else set(os.getgroups()))


def test_no_role_with_a_login_is_a_superuser(standing_deck: Deck) -> None:
    with psycopg.connect(Postgres(standing_deck[0].database).dsn(OWNER)) as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
    assert rows == [(SUPERUSER,)]
