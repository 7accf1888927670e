"""Starting, stopping, interrupting and killing a deck: no process and no lock is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from decks.process import Deck, eventually, kill, leftovers, running_deck
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.embedded import deck, ports, processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.processes import wait_exit
from tapedeck_deck.embedded.readiness import wait_until_answering
from tapedeck_deck.embedded.state_dir import VERSION, StateDir

AWAITED = (
    "the broker and the database", "the broker", "the migration of the database", "the recorder", "the gateway",
)  # fmt: skip


@pytest.fixture(scope="module")
def module_deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("life") / "home") as running:
        yield running


def test_a_running_deck_describes_itself(module_deck: Deck) -> None:
    home, facts, objects = module_deck
    assert len(leftovers(home)) >= 5  # daemon, broker, database, recorder, gateway
    assert facts["gateway"].startswith("http://127.0.0.1:")
    with pytest.raises(DeckError, match="already runs"):
        deck.start_background(home, 0)
    phases = {p["metadata"]["labels"]["app.kubernetes.io/name"]: p["status"]["phase"] for p in objects.list("Pod")}
    assert phases == {"recorder": "Running", "gateway": "Running"}
    spec = {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}}
    document = {"apiVersion": API_VERSION, "kind": "Replay", "metadata": {"name": "x", "namespace": "default"}}
    uid = objects.apply({**document, "spec": spec})[0]["metadata"]["uid"]
    eventually(lambda: json.loads(home.replays_file.read_text()) == [uid], timeout=20)
    objects.delete("Replay", "default", "x")
    eventually(lambda: json.loads(home.replays_file.read_text()) == [], timeout=20)


@pytest.mark.parametrize(("service", "word"), [("broker", "kafka.Kafka"), ("database", "postgres -D")])
def test_a_service_that_ends_is_restarted(module_deck: Deck, service: str, word: str) -> None:
    home, _, objects = module_deck
    victim = _pids(home, word)[0]
    kill(victim)
    eventually(lambda: (there := _pids(home, word)) and victim not in there, timeout=40)
    assert [e["name"] for e in objects.events("deck") if e["reason"] == "Ended"].count(service) == 1
    time.sleep(1)  # clients reconnect; running_deck checks the end


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "number"),
    [(0.0, signal.SIGINT), (0.8, signal.SIGINT), (1.6, signal.SIGINT), (3.0, signal.SIGINT), (0.8, signal.SIGTERM)],
)
def test_an_interrupt_during_the_start_stops_everything(tmp_path: Path, after: float, number: signal.Signals) -> None:
    home = StateDir.at(tmp_path / "home")
    with (tmp_path / "log").open("wb") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "tapedeck_deck.embedded", str(home.root), "0"], stdout=output, stderr=output
        )
    eventually(lambda: _handles_sigterm(daemon.pid))  # on a busy machine Python alone takes a second to load
    time.sleep(after)
    daemon.send_signal(number)
    assert wait_exit(daemon, 40) == 0, (tmp_path / "log").read_text()
    eventually(lambda: leftovers(home) == [], timeout=30)
    assert not home.locked()


@pytest.mark.slow
def test_the_processes_of_a_killed_deck_end_and_it_starts_again(tmp_path: Path) -> None:
    home = StateDir.at(tmp_path / ("long" * 25))  # too long for the path of a socket
    awaited: list[str] = []
    facts = deck.start_background(home, 0, on_awaited=awaited.append)
    assert awaited == [each for each in AWAITED if each in awaited]
    assert len(awaited) > 1
    kill(facts["pid"])
    eventually(lambda: leftovers(home) == [], timeout=60)
    assert home.running() is None
    sockets = Postgres(home.database).sockets
    assert home.root not in sockets.parents
    assert sockets.stat().st_mode & 0o077 == 0
    assert not deck.stop(home)
    assert not sockets.exists()
    logs = [home.broker / "broker.log", home.root / "postgres.log", home.logs / "migrate.log", home.deck_log]
    for log in logs:
        log.write_text("of an earlier start")
    with running_deck(home.root) as (_, again, objects):
        assert again["pid"] != facts["pid"]
        for log in logs:
            assert "earlier" not in log.read_text()
            assert log.with_name(f"{log.name}.previous").read_text() == "of an earlier start"
        assert home.awaited() == ""
        ended = [p["status"]["exitCode"] for p in objects.list("Pod") if p["status"]["phase"] == "Failed"]
        assert set(ended) == {137}  # the gateway's is deleted if its port has changed
    assert home.running() is None
    assert not home.locked()
    assert not deck.stop(home)


def test_a_start_that_takes_too_long_says_what_it_waits_for_and_leaves_nothing(tmp_path: Path) -> None:
    home = StateDir.at(tmp_path / "home")
    with pytest.raises(DeckError, match=r"--timeout: the deck is not ready after 0.01 s: it loads its programs"):
        deck.start_background(home, 0, timeout=0.01)
    eventually(lambda: leftovers(home) == [], timeout=30)
    assert not list(home.root.glob("postgres*"))


# A workload that works for six seconds before it answers, one that hangs, and one that fails.
SLOW = """
import http.server, sys, time
for _ in range(20):
    print("loading", flush=True)
    time.sleep(0.3)
class Ok(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""
HANGING = "import time; print('this run', flush=True); time.sleep(600)"


def pod_of(process: subprocess.Popen[bytes], log: Path, **status: object) -> Json:
    facts = {"phase": "Running", "startedAt": time.time(), "log": str(log), "pid": process.pid}
    return {"metadata": {"uid": f"u-{process.pid}"}, "status": facts | status}


def test_a_workload_is_awaited_while_it_makes_progress(tmp_path: Path) -> None:
    port, log = ports.free_port(), tmp_path / "slow.log"
    slow = processes.start([sys.executable, "-c", SLOW, str(port)], log=log)
    pod = pod_of(slow, log, url=f"http://127.0.0.1:{port}")
    began = time.monotonic()
    try:
        asyncio.run(wait_until_answering("gateway", lambda: [pod], stall=3.0))
        assert time.monotonic() - began > 5.5  # longer than without progress
    finally:
        processes.stop(slow, grace=0, first=signal.SIGKILL)
    log = tmp_path / "hanging.log"
    hanging = processes.start([sys.executable, "-c", HANGING], log=log)
    pod = pod_of(hanging, log)
    try:
        with pytest.raises(DeckError, match=r"the gateway made no progress for 3 s:\n.*hanging.log:\nthis run"):
            asyncio.run(wait_until_answering("gateway", lambda: [pod], stall=3.0))
    finally:
        processes.stop(hanging, grace=0, first=signal.SIGKILL)


def test_a_workload_that_fails_again_and_again_is_not_awaited() -> None:
    said = json.dumps({"state": "failed", "message": "http port: got 8750, expected a free one"})
    now = time.time() + 60
    failed = {"phase": "Failed", "startedAt": now, "finishedAt": now, "terminationMessage": said, "exitCode": 1}
    earlier = {"phase": "Failed", "startedAt": 0.0, "finishedAt": now, "problem": "its deck ended while it ran"}
    pods = [{"metadata": {"uid": str(number)}, "status": failed} for number in range(2)]
    pods += [{"metadata": {"uid": "earlier"}, "status": earlier}]
    with pytest.raises(DeckError, match="no pod of it runs"):
        asyncio.run(wait_until_answering("gateway", lambda: pods, stall=0.2))
    pods.append({"metadata": {"uid": "third"}, "status": failed})
    with pytest.raises(DeckError, match="the gateway failed 3 times while starting: http port: got 8750"):
        asyncio.run(wait_until_answering("gateway", lambda: pods))


def _pids(home: StateDir, word: str) -> list[int]:
    import psutil

    return [
        p.pid
        for p in psutil.process_iter(["cmdline", "cwd", "status"])
        if p.info["cmdline"]
        and p.info["status"] != psutil.STATUS_ZOMBIE
        and word in " ".join(p.info["cmdline"])
        and str(home.root) in " ".join([*p.info["cmdline"], p.info["cwd"] or ""])
    ]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeckError, match=f"--port: got {port}.*in use"):
            deck.start_background(StateDir.at(tmp_path / "home"), port)


def test_decks_that_start_together_use_different_ports() -> None:
    """Neither has opened its port when the other checks it."""
    port = ports.free_port()
    first = ports.claim(port)
    assert first is not None
    assert ports.claim(port) is None
    first.close()
    again = ports.claim(port)
    assert again is not None
    again.close()


def test_no_client_is_given_the_port_of_a_server_that_starts() -> None:
    """A broker found its port in use by a connection that had been opened since the port was chosen."""
    first, last = map(int, ports.CLIENT_PORTS.read_text().split())
    assert not [port for port in (ports.free_port() for _ in range(50)) if first <= port <= last]


def test_two_processes_are_given_different_ports(tmp_path: Path) -> None:
    """Some 40 of 1,000 random ports would be the same."""
    code = "from tapedeck_deck.embedded.ports import free_port; print(*(free_port() for _ in range(500)))"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        )
        for _ in range(2)
    ]
    given = [port for each in both for port in each.communicate(timeout=60)[0].split()]
    assert len(given) == len(set(given)) == 1000


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("version", "99", f"got deck version '99', expected {VERSION}"),
        ("kafka/version", "3.9.0", "got version 3.9.0, expected 4.1.1"),
        ("postgres/PG_VERSION", "12", "got version 12, expected 18"),
    ],
)
def test_data_of_another_version_is_rejected(tmp_path: Path, file: str, text: str, message: str) -> None:
    home = StateDir.at(tmp_path / "home")
    home.prepare()
    path = home.root / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    if file.startswith("kafka"):
        (path.parent / "cluster-id").write_text("x")
        (path.parent / "data").mkdir()
        (path.parent / "data" / "meta.properties").write_text("")
    with pytest.raises(DeckError) as caught:
        deck.start_background(home, 0)
    assert message in str(caught.value)
    assert path.read_text() == text
    assert leftovers(home) == []


def test_objects_of_a_newer_schema_are_rejected(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "objects.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(DeckError, match="99"):
        Objects(path)


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    home = StateDir.at(tmp_path)
    home.prepare()
    child = os.fork()
    if child == 0:
        held = home.lock()
        time.sleep(30 if held else 0)
        os._exit(0)
    eventually(home.locked)
    kill(child)
    os.waitpid(child, 0)
    assert not home.locked()
