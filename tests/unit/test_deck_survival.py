"""A deck survives what its machine lacks for a while, says it once, and recovers by itself."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tapedeck_common.logs import UnfailingLog
from tapedeck_crds.json import Json
from tapedeck_deck.cli.deck import print_status, up
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.forkserver import ForkedModule
from tapedeck_deck.embedded.kubelet import START, STATUS, Kubelet
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.pods import kubernetes_pod
from tapedeck_deck.embedded.problems import FILE_BYTES, Problems, describe, keep_running, read_problems
from tapedeck_deck.embedded.recent_oom_kills import RecentOomKills
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.store_watch import StoreWatch
from tapedeck_operator.plan.observer import observe_pod
from tapedeck_operator.plan.reasons import NOT_STARTING

pytestmark = pytest.mark.slow


async def becomes_true(check: Callable[[], bool]) -> None:
    while not check():  # noqa: ASYNC110 (nothing signals it)
        await asyncio.sleep(0.02)


class Node:
    """A kubelet with its store, without a broker, a database and controllers."""

    def __init__(self, folder: Path) -> None:
        self.home = StateDir(folder)
        self.home.prepare()
        self.objects = Objects(self.home.objects)
        self.problems = Problems(self.home.problems_file, self.objects.add_event)
        self.kubelet = Kubelet(self.home, self.objects, self.problems)
        self.watch = StoreWatch(self.objects)
        self.watch.subscribe(self.kubelet.handle)

    def add(self, name: str, module: str = "this", *, arguments: Sequence[str] = (), config_map: str = "") -> None:
        """A pod of a module of the standard library, by default one that ends by itself."""
        container: Json = {"name": "it", "image": module, "args": [*arguments]}
        spec: Json = {"restartPolicy": "Never", "containers": [container]}
        if config_map:
            container["volumeMounts"] = [{"name": "code", "mountPath": "/code"}]
            spec["volumes"] = [{"name": "code", "configMap": {"name": config_map}}]
        self.objects.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def phase(self, name: str) -> str | None:
        phase: str | None = self.objects.get("Pod", "default", name).get("status", {}).get("phase")
        return phase

    def present(self) -> dict[str, str]:
        return read_problems(self.home.problems_file)

    def events(self, part: str) -> list[tuple[str, int]]:
        return [(event["reason"], event["count"]) for event in self.objects.events("deck") if event["name"] == part]

    def run(self, *steps: Callable[[], bool]) -> None:
        """Run watch and kubelet, as a deck does, until each of the steps has become true, one after the other."""

        async def until_done() -> None:
            parts = {"watch": self.watch.run, "pods": self.kubelet.run}
            tasks = [asyncio.create_task(keep_running(name, part, self.problems)) for name, part in parts.items()]
            async with asyncio.timeout(60):
                for step in steps:
                    await becomes_true(step)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        try:
            asyncio.run(until_done())
        finally:
            self.kubelet.stop_all(timeout=5)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "home")
    yield made
    made.objects.close()


@contextmanager
def without_descriptors() -> Iterator[None]:
    """This process can open no file."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_pod_starts_at_once_while_another_has_not_opened_its_port(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck_deck.embedded.kubelet.TICK_SECONDS", 600.0)
    node.add("first", "http.server", arguments=["0", "--bind", "127.0.0.1"])

    def add_second() -> bool:
        node.add("second")
        return True

    node.run(
        lambda: node.phase("first") == "Running",
        add_second,
        lambda: node.phase("second") in ("Running", "Succeeded"),
    )


def test_a_signal_to_a_process_that_is_gone_is_no_error() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(timeout=60)
    forked = ForkedModule(cast(ForkServerProcess, SimpleNamespace(pid=gone.pid, exitcode=None)))
    forked.terminate()
    forked.kill()


def test_what_happens_while_the_store_cannot_be_written_is_written_afterwards(node: Node) -> None:
    connection = node.objects._database._connection
    node.add("first")
    connection.execute("PRAGMA query_only = ON")

    def writable() -> bool:
        connection.execute("PRAGMA query_only = OFF")
        return True

    node.run(
        lambda: STATUS in node.present(),
        writable,
        lambda: node.phase("first") == "Succeeded",
        lambda: node.present() == {},
    )
    assert node.events(STATUS) == [("Problem", 1), ("Recovered", 1)]


def test_a_pod_waits_for_its_config_map_as_on_a_cluster(node: Node) -> None:
    node.add("incomplete", config_map="code")
    node.add("other")

    def shown() -> tuple[str, str, str]:
        pod = observe_pod("Replay", kubernetes_pod(node.objects.get("Pod", "default", "incomplete")), None, 0)
        return pod.phase, pod.reason, pod.problem

    def created() -> bool:
        code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"a.py": ""}}
        return bool(node.objects.apply(code))

    node.run(
        lambda: node.phase("other") == "Succeeded",
        lambda: shown() == ("Pending", NOT_STARTING, "ConfigMap default/code not found"),
        created,
        lambda: node.phase("incomplete") == "Succeeded",
    )
    assert node.present() == {}


def test_a_pod_that_cannot_start_for_now_waits_and_has_not_failed(node: Node, tmp_path: Path) -> None:
    forkserver.prepare()
    node.add("first")
    for change in (Change(False, pod) for pod in node.objects.list("Pod")):
        node.kubelet.handle(change)
    with without_descriptors():
        node.kubelet._start_pending()
        node.kubelet._start_pending()
    assert list(node.present()) == [START]
    assert "Too many open files" in node.present()[START]
    assert node.phase("first") is None
    node.run(lambda: node.phase("first") == "Succeeded", lambda: node.present() == {})
    assert node.events(START) == [("Problem", 1), ("Recovered", 1)]


def test_the_end_of_a_pod_is_told_and_not_looked_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapedeck_deck.embedded.kubelet.ATTEND_SECONDS", 600.0)
    node.add("server", module="http.server")  # runs until it is stopped

    def status() -> Json:
        shown: Json = node.objects.get("Pod", "default", "server")["status"]
        return shown

    def opened() -> bool:
        (node.home.pods / "server" / "port").write_text("1")
        return True

    def killed() -> bool:
        os.kill(status()["pid"], signal.SIGKILL)
        return True

    node.run(
        lambda: node.phase("server") == "Running",
        opened,
        lambda: "url" in status(),
        killed,
        lambda: node.phase("server") == "Failed",
    )
    assert status()["exitCode"] == 137


def test_an_error_with_one_pod_does_not_stop_the_others(node: Node) -> None:
    node.add("broken", module="http.server")  # runs until it is stopped
    node.run(lambda: node.phase("broken") == "Running", lambda: _break(node),
             lambda: node.phase("whole") == "Succeeded")  # fmt: skip
    (problem,) = (e for e in node.objects.events("deck") if e["name"] == "pod broken" and e["reason"] == "Problem")
    assert "Is a directory" in problem["message"]


def _break(node: Node) -> bool:
    """Make the port file of a pod unreadable, and add another pod."""
    port = node.home.pods / "broken" / "port"
    port.unlink(missing_ok=True)
    port.mkdir()
    node.add("whole")
    return True


def test_a_handler_that_fails_gets_the_change_again(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects.db")
    seen: list[str] = []

    def handle(change: Change) -> None:
        seen.append(change.document["metadata"]["name"])
        if len(seen) == 1:
            raise OSError(28, "No space left on device")

    problems = Problems(tmp_path / "problems", objects.add_event)
    watch = StoreWatch(objects)
    watch.subscribe(handle)

    async def run() -> None:
        task = asyncio.create_task(keep_running("watch", watch.run, problems))
        await asyncio.sleep(0.1)
        objects.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}})
        async with asyncio.timeout(30):
            await becomes_true(lambda: len(seen) >= 2)
        task.cancel()

    asyncio.run(run())
    assert seen[:2] == ["it", "it"]
    assert [(e["reason"], e["message"]) for e in objects.events("deck")] == [("Problem", "No space left on device")]


def test_a_part_that_fails_again_and_again_says_so_once_and_runs_again(tmp_path: Path) -> None:
    events: list[Json] = []
    problems = Problems(tmp_path / "problems", events.append)
    runs: list[int] = []

    async def part() -> None:
        runs.append(1)
        if len(runs) < 3:
            try:
                _ = dict[str, int]()["x"]
            except KeyError as error:
                raise ExceptionGroup("in a group", [error]) from None
        await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(keep_running("part", part, problems))
        async with asyncio.timeout(30):
            await becomes_true(lambda: len(events) >= 2)
        task.cancel()

    asyncio.run(run())
    assert [(event["reason"], event["name"]) for event in events] == [("Problem", "part"), ("Recovered", "part")]
    assert "KeyError: 'x' (test_deck_survival.py:" in events[0]["message"]
    assert read_problems(tmp_path / "problems") == {}


def test_problems_are_kept_in_a_file_of_constant_size_and_their_events_until_they_can_be_stored(tmp_path: Path) -> None:
    stored: list[Json] = []
    full = [True]

    def add_event(event: Json) -> None:
        if full[0]:
            raise DeckError("database or disk is full")
        stored.append(event)

    problems = Problems(tmp_path / "problems", add_event)
    for number in range(200):
        problems.report(f"pod {number}", f"{number} " + "long " * 200)
    problems.report("pod 0", "0 " + "long " * 200)
    assert (tmp_path / "problems").stat().st_size == FILE_BYTES
    assert len(read_problems(tmp_path / "problems")) > 5
    full[0] = False
    problems.store_events()
    assert len(stored) == 100
    for number in range(200):
        problems.solved(f"pod {number}")
    assert read_problems(tmp_path / "problems") == {}


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        UnfailingLog(full.fileno()).write("lost\n")


def test_the_status_names_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    addresses = {"gateway": "g", "broker": "b", "kafka": "k", "dsn": "d", "prometheus": None}
    parts = dict.fromkeys(("page", "broker", "database"), "ok")
    state = {
        "running": True,
        "started": 0,
        "pid": 1,
        "home": "/h",
        "parts": parts,
        "resources": {},
        "sandbox": "",
    } | addresses
    finding = {"what": "disk", "problem": "No space left on the disk of /h", "do": "free some space"}
    print_status(StateDir(tmp_path), state | {"unhealthy": [finding] * 12})
    shown = capsys.readouterr().out
    assert "unhealthy: disk: No space left on the disk of /h\n  do: free some space\n" in shown
    assert "unhealthy: 2 more" in shown


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DeckError("a: got b,\nexpected c"), "a: got b, expected c"),
        (OSError(28, "No space left on device", "/a/b"), "/a/b: No space left on device"),
        (OSError(24, "Too many open files"), "Too many open files"),
    ],
)
def test_a_problem_is_one_line(error: Exception, says: str) -> None:
    assert describe(error) == says


def test_options_that_a_running_deck_does_not_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = StateDir(tmp_path / "home")
    home.prepare()
    note = "--port, --origin, --metrics and --traces are read when a deck starts"
    with home.lock():
        home.announce({"gateway": "http://127.0.0.1:8750/"})
        for port, origins, noted in ((0, [], False), (8750, [], False), (8751, [], True), (0, ["http://a:1"], True)):
            up(home, port, origins)
            said = capsys.readouterr()
            assert said.out == "the deck is already running: http://127.0.0.1:8750/\n"
            assert (note in said.err) == noted


@pytest.mark.parametrize(("killed", "reason"), [(1, "OOMKilled"), (0, "")])
def test_a_killed_pod_was_out_of_memory_if_the_kernel_counted_so(node: Node, killed: int, reason: str) -> None:
    """The count is a test's own: tests/integration/on_a_deck has pods that the kernel kills."""
    kills = [3]
    node.kubelet._oom_kills = RecentOomKills(lambda: kills[0])
    node.add("big", "timeit", arguments=["-n1", "-r1", "import time; time.sleep(600)"])

    def kill() -> bool:
        kills[0] += killed
        os.kill(node.objects.get("Pod", "default", "big")["status"]["pid"], signal.SIGKILL)
        return True

    node.run(lambda: node.phase("big") == "Running", kill, lambda: node.phase("big") == "Failed")
    pod = observe_pod("Replay", kubernetes_pod(node.objects.get("Pod", "default", "big")), None, 0)
    assert (pod.exit_code, pod.reason) == (137, reason)
    assert pod.problem.startswith("pod big was OOM-killed: its machine or its cgroup had no memory left" * killed)
    assert [name for name, _ in node.events("memory")] == ["OOMKilled"] * killed
    assert ("memory" in node.present()) == bool(killed)
