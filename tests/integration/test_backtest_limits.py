"""Misbehaving strategies as real processes: each run fails soon, with the strategy's own line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pods.backtest import BacktestPod, read_records
from pods.runs import random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.processes import wait_until

# The class's body, the reason of the failed run, and parts of its message, such as the strategy's own line.
INIT, NEXT = "def __init__(self)", "def next(self)"
BAD = {
    "raises early": (f"{INIT}: self.nothing.at_all()", "StrategyError", ["self.nothing.at_all()", "AttributeError"]),
    "raises late": (f"{NEXT}: len(self) == 9_990 and {{}}['late']", "StrategyError", ["{}['late']", "KeyError"]),
    "raises KeyboardInterrupt": (f"{NEXT}: raise_(KeyboardInterrupt)", "StrategyError", ["KeyboardInterrupt"]),
    "connects to the network": (
        f"{INIT}: get('http://127.0.0.1:9/')", "StrategyError", ["get(", "not allowed in the sandbox: a network"],
    ),
    "reads the service account token": (
        f"{INIT}: open('/var/run/secrets/kubernetes.io/serviceaccount/token')", "StrategyError",
        ["serviceaccount", "FileNotFoundError"],
    ),
    "exits the process": (f"{NEXT}: len(self) == 500 and os._exit(0)", "StrategyExited", ["exit code 0"]),
    "crashes": (f"{NEXT}: len(self) == 500 and os.abort()", "StrategyExited", ["signal SIGABRT"]),
    "reads connections": (
        f"{INIT}: open(os.path.dirname(__file__) + '/connections/store_dsn')", "StrategyError",
        ["store_dsn", "PermissionError", "not allowed in the sandbox"],
    ),
    "reads the environment": (f"{INIT}: raise_(LookupError(secrets()))", "StrategyError", ["LookupError: []"]),
    "loops in next": (f"{NEXT}: loop()", "TimeLimit", ["barSeconds", "while True"]),
    "loops in __init__": (f"{INIT}: loop()", "TimeLimit", ["barSeconds", "while True"]),
    "catches BarTimeout": (f"{NEXT}: ignore_signals()", "TimeLimit", ["barSeconds", "did not end when interrupted"]),
    "exceeds the memory limit": (f"{NEXT}: allocate()", "MemoryLimit", ["limits.memory", "chunks.append"]),
    "orders NaN": (f"{NEXT}: self.buy(size=float('nan'))", "NotANumber", ["buy nan of A"]),
}  # fmt: skip

MODULE = """
import ctypes, os, time, urllib.request
import backtrader as bt
get = urllib.request.urlopen
def raise_(error): raise error
def secrets(): return [k for k in os.environ if 'KUBERNETES' in k or 'PASSWORD' in k or 'TAPEDECK' in k]
def loop():
    while True: pass
def ignore_signals():
    while True:
        try: time.sleep(60)
        except BaseException: pass
def allocate():
    chunks = []
    while True: chunks.append(bytearray(5_000_000))
class Bad(bt.Strategy):
    """


def misbehaving(connections: Connections, folder: Path, body: str, **more: Any) -> BacktestPod:
    folder.mkdir()
    (folder / "mine.py").write_text(MODULE + body + "\n")
    memory = {"resources": {"limits": {"memory": "700Mi"}}}
    return BacktestPod(
        connections, folder, spec(store_data(["A"]), module="mine:Bad") | {"sizer": None} | memory | more
    )


def test_misbehaving_strategies_fail_with_their_own_line(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 10_000))
    pods = {}
    for number, (name, (body, reason, _)) in enumerate(BAD.items()):
        limits = {"limits": {"barSeconds": 3}} if reason == "TimeLimit" else {}
        pods[name] = misbehaving(connections, tmp_path / str(number), body, **limits)
        pods[name].start()  # in parallel, because they mostly wait
    for name, (_, reason, parts) in BAD.items():
        pod = pods[name]
        assert pod.wait(90) == 64, (name, pod.log.read_text())
        report = pod.report()
        assert (report["state"], report["reason"]) == ("failed", reason), (name, report)
        end = read_records(connections, pod.uid).ended["once"]
        assert end["state"] == "failed", name
        if reason in ("StrategyError", "MemoryLimit"):  # no frame of Tapedeck or Backtrader precedes the strategy's
            first = next(line for line in report["message"].splitlines() if line.startswith("File "))
            assert first.startswith(f'File "{pod.folder}/mine.py", line '), (name, report["message"])
        for part in parts:
            assert part in report["message"], (name, report["message"])
            assert part in end["message"], (name, end["message"])


FLOODS = {
    "prints": "print('flood ' * 10_000)",
    "writes to the descriptor": "os.write(len(self) % 2 + 1, b'flood ' * 10_000)",
    "prints from a C library": "ctypes.CDLL(None).puts(b'flood ' * 10_000)",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_excess_output_is_dropped_and_the_run_completes(connections: Connections, tmp_path: Path, flood: str) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    pod = misbehaving(connections, tmp_path / "pod", f"{NEXT}: {flood}", limits={"outputBytes": 20_000})
    assert pod.run() == 0, pod.log.read_text()[-2000:]
    text = pod.log.read_text()
    assert 20_000 < len(text) < 30_000
    assert '"complete"' in text
    assert text.count("output beyond 20000 bytes is dropped") == 1
    assert len(read_records(connections, pod.uid).equity) == 1_000


def test_sigterm_ends_a_strategy_that_loops(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 100))
    pod = misbehaving(connections, tmp_path / "pod", f"{NEXT}: loop()", limits={"barSeconds": 60})
    pod.start()
    try:
        assert wait_until(lambda: "is confined" in pod.log.read_text(), timeout=30)
        time.sleep(1)
        assert pod.process is not None
        pod.process.terminate()
        assert pod.wait(15) == 1
    finally:
        pod.kill()
    assert pod.report()["reason"] == "Interrupted"


def test_kill_is_reported_and_not_as_an_oom_kill(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    pod = misbehaving(connections, tmp_path / "pod", f"{NEXT}: len(self) == 500 and os.kill(os.getpid(), 9)")
    assert pod.run() == 137, "anyone may have sent the signal, so another pod must retry the run"
    report = pod.report()
    assert (report["state"], report["reason"], report["run_id"]) == ("failed", "Killed", pod.uid)
    assert "SIGKILL ended the strategy's process; not an OOM kill" in report["message"]
    assert not read_records(connections, pod.uid).ended
