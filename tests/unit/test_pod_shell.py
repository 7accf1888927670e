"""The life of a pod: whatever ends a workload, the pod leaves a report, an exit code and a log line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from waits import eventually

pytestmark = pytest.mark.slow

WORKLOAD = """
import atexit
import ctypes
import sys
import tempfile

from confluent_kafka import KafkaError, KafkaException
import psycopg

from tapedeck_common.pod.shell import Workload, exit_at_once, run_pod
from tapedeck_common.settings import PodSettings
from tapedeck_crds.errors import Fenced, Interrupted, InvalidInput, Unavailable
from tapedeck_crds.report import Report


class Example(Workload):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        if settings.spec == '"invalid"':
            raise InvalidInput("spec: got 'invalid'", reason="BadSpec")

    def report(self):
        return Report(state="running", message="at work")

    def ready(self):
        return not self.stop_requested.is_set()

    def run(self):
        match self.settings.spec.strip('"'):
            case "complete":
                return
            case "bug":
                divide(1)
            case "fenced":
                raise Fenced("a successor took over")
            case "broker":
                raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
            case "store":
                raise psycopg.OperationalError("connection refused")
            case "hang":
                exit_at_once(self.settings, self.report(), Unavailable("the client hangs"))
            case "aborting library":
                leave_work(self.settings.files)
            case "aborting library, fenced":
                leave_work(self.settings.files)
                raise Fenced("a successor took over")
            case "wait":
                self.stop_requested.wait()
                raise Interrupted("stopped before the end")


def leave_work(folder):
    # As a library whose threads abort the process at the end of the interpreter.
    global temporary
    library = ctypes.CDLL(None)
    getattr(library, "__cxa_atexit")(ctypes.cast(library.abort, ctypes.c_void_p), None, None)
    temporary = tempfile.TemporaryDirectory(prefix="left-", dir=folder)
    atexit.register((folder / "at exit").write_text, "done")
    sys.stdout = open(folder / "stdout", "w")
    print("not flushed")


def divide(number):
    return number / 0  # the planted bug


if __name__ == "__main__":
    run_pod("example", PodSettings, Example)
"""
BUG_LINE = WORKLOAD.splitlines().index("    return number / 0  # the planted bug") + 1


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A pod whose port, termination message and connections are below ``folder``."""
    paths = [str(folder), *sys.path]
    settings = {
        "PYTHONPATH": os.pathsep.join(paths),
        "TAPEDECK_NAME": "one",
        "TAPEDECK_UID": "11111111-1111-1111-1111-111111111111",
        "TAPEDECK_PORT_FILE": str(folder / "port"),
        "TAPEDECK_TERMINATION_LOG": str(folder / "last"),
        "TAPEDECK_CONNECTIONS": str(folder / "connections"),
        "TAPEDECK_FILES": str(folder),
    }
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=os.environ | settings | environment, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """The exit code, the report and the log."""
    _, text = process.communicate(timeout=900)
    log = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return process.returncode, json.loads((folder / "last").read_text()), log


@pytest.fixture
def module(tmp_path: Path) -> str:
    (tmp_path / "tapedeck_example.py").write_text(WORKLOAD)
    return "tapedeck_example"


@pytest.mark.parametrize(
    ("spec", "code", "state", "reason", "message"),
    [
        ("complete", 0, "running", "", "at work"),
        ("fenced", 75, "failed", "Fenced", "a successor took over"),
        ("broker", 1, "failed", "BrokerUnavailable", "broker: KafkaError"),
        ("store", 1, "failed", "StoreUnavailable", "store: connection refused"),
        ("hang", 1, "failed", "Unavailable", "the client hangs"),
        ("invalid", 64, "failed", "BadSpec", "spec: got 'invalid'"),
    ],
)
def test_each_outcome_leaves_a_report_an_exit_code_and_a_log_line(
    module: str, tmp_path: Path, spec: str, code: int, state: str, reason: str, message: str
) -> None:
    outcome, report, log = ended(start(tmp_path, "-m", module, TAPEDECK_SPEC=json.dumps(spec)), tmp_path)
    assert (outcome, report["state"], report["reason"]) == (code, state, reason)
    assert report["message"].startswith(message)
    failures = [line for line in log if line["event"] == "failed"]
    assert [(line["reason"], line["exit_code"]) for line in failures] == ([(reason, code)] if code else [])


@pytest.mark.parametrize(("spec", "code"), [("aborting library", 0), ("aborting library, fenced", 75)])
def test_a_library_that_aborts_the_end_of_the_process_changes_no_exit_code(
    module: str, tmp_path: Path, spec: str, code: int
) -> None:
    outcome, report, _ = ended(start(tmp_path, "-m", module, TAPEDECK_SPEC=json.dumps(spec)), tmp_path)
    assert (outcome, report["reason"]) == (code, "Fenced" if code else "")
    assert (tmp_path / "at exit").read_text() == "done"
    assert (tmp_path / "stdout").read_text() == "not flushed\n"
    assert not list(tmp_path.glob("left-*"))


def test_a_bug_is_reported_with_its_place_and_logged_with_its_stack(module: str, tmp_path: Path) -> None:
    code, report, log = ended(start(tmp_path, "-m", module, TAPEDECK_SPEC='"bug"'), tmp_path)
    assert (code, report["state"], report["reason"]) == (1, "failed", "InternalError")
    assert report["message"] == f"ZeroDivisionError: division by zero (tapedeck_example.py:{BUG_LINE})"
    assert log[-1]["event"] == "failed" and log[-1]["message"] == report["message"]
    assert "Traceback" in log[-1]["exception"] and "divide(1)" in log[-1]["exception"]


def test_an_invalid_setting_is_reported(module: str, tmp_path: Path) -> None:
    code, report, log = ended(start(tmp_path, "-m", module, TAPEDECK_SHARD="first"), tmp_path)
    assert (code, report["state"], report["reason"]) == (64, "failed", "BadSettings")
    assert report["message"].startswith("environment TAPEDECK_shard: got 'first', expected")
    assert log[-1]["reason"] == "BadSettings"


def test_a_workload_with_foreign_code_reports_what_the_sandbox_lacks(module: str, tmp_path: Path) -> None:
    code = (
        "import sys, tapedeck_example\nfrom tapedeck_common.pod.shell import run_pod\n"
        "from tapedeck_common.sandbox import landlock\nfrom tapedeck_common.settings import PodSettings\n"
        "landlock.abi = lambda: 0\ntapedeck_example.Example.runs_foreign_code = len(sys.argv) > 1\n"
        "run_pod('example', PodSettings, tapedeck_example.Example)"
    )
    lack = (
        "the sandbox of foreign code is incomplete: no Landlock: foreign code reads and writes the files that this "
        "user may"
    )
    _, report, log = ended(start(tmp_path, "-c", code, "foreign", TAPEDECK_SPEC='"complete"'), tmp_path)
    assert report["sandbox"] == lack
    assert [line["event"] for line in log if line["level"] == "warning"] == [lack]
    _, report, log = ended(start(tmp_path, "-c", code, TAPEDECK_SPEC='"complete"'), tmp_path)
    assert (report["sandbox"], log) == ("", [])


def test_a_stop_ends_the_run_and_keeps_its_state(module: str, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", module, TAPEDECK_SPEC='"wait"')
    eventually((tmp_path / "port").exists)
    url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}"
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"{url}/{path}", timeout=60) as answer:
            assert answer.read() == b"ok"
    with urllib.request.urlopen(f"{url}/status", timeout=60) as answer:
        assert json.loads(answer.read())["message"] == "at work"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/control", data=b"{}", timeout=60)
    process.send_signal(signal.SIGTERM)
    code, report, log = ended(process, tmp_path)
    assert (code, report["state"], report["reason"]) == (1, "running", "Interrupted")
    assert log[-1]["event"] == "interrupted"


# Each workload's own entry point, with a bug planted in what all of them call.
PLANT = """
import runpy, sys
from tapedeck_common.settings import Connections

def planted(*_):
    raise ZeroDivisionError("planted")

Connections.read = planted
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
FILES = {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a.csv"}]}}}
LIVE = {"exchange": "coinbase", "symbols": ["A/B"]}
BACKFILL = LIVE | {"backfill": {"from": "2020-01-01T00:00:00Z"}}
STORE = {"store": {"exchange": "x", "symbols": ["A/B"]}}


@pytest.mark.parametrize(
    ("module", "spec", "environment"),
    [
        pytest.param("tapedeck_feed", FILES, {}, id="feed from files"),
        pytest.param("tapedeck_feed", LIVE, {}, id="live feed"),
        pytest.param("tapedeck_feed", BACKFILL, {"TAPEDECK_BACKFILL_UNTIL": "1600000000000"}, id="backfill"),
        pytest.param("tapedeck_replay", {"source": STORE}, {}, id="replay"),
        pytest.param("tapedeck_transform", LIVE, {}, id="transform"),
        pytest.param("tapedeck_backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}, {}, id="backtest"),
        pytest.param("tapedeck_backtest.check", {"strategy": {"builtin": "sma-cross"}, "data": STORE}, {}, id="checks"),
        pytest.param("tapedeck_recorder", {}, {}, id="recorder"),
        pytest.param("tapedeck_gateway", {}, {}, id="gateway"),
    ],
)
def test_a_bug_in_any_workload_ends_as_a_report(
    tmp_path: Path, module: str, spec: dict[str, Any], environment: dict[str, str]
) -> None:
    process = start(tmp_path, "-c", PLANT.format(module=module), TAPEDECK_SPEC=json.dumps(spec), **environment)
    code, report, log = ended(process, tmp_path)
    assert (code, report["state"], report["reason"]) == (1, "failed", "InternalError")
    assert report["message"].startswith("ZeroDivisionError: planted (tapedeck_")
    [failure] = [line for line in log if line["event"] == "failed"]
    assert failure["message"] == report["message"]
    assert "Traceback" in failure["exception"]


# The thread of a recorder that looks for hanging transactions, with a bug, beside a broker that does not answer.
PLANT_IN_A_THREAD = """
import runpy, tapedeck_recorder.kafka.hanging_transactions as module

def planted(*_):
    raise ZeroDivisionError("planted")

module.HangingTransactions.look = planted
module.LOOK_SECONDS = 0.1
runpy.run_module("tapedeck_recorder", run_name="__main__", alter_sys=True)
"""


def test_a_bug_in_a_thread_of_the_recorder_ends_as_a_report(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 64)
    environment = {
        "TAPEDECK_RESULTS_KEY_FILE": str(tmp_path / "key"),
        "TAPEDECK_CONNECTION_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    }
    process = start(tmp_path, "-c", PLANT_IN_A_THREAD, **environment)
    code, report, log = ended(process, tmp_path)
    assert (code, report["state"], report["reason"]) == (1, "failed", "InternalError")
    assert report["message"].startswith("ZeroDivisionError: planted (")
    [failure] = [line for line in log if line["event"] == "failed"]  # others tell of the broker, which is not there
    assert "Traceback" in failure["exception"]
