"""How the tests run: nothing outlives a runner that is killed, shared fixtures are started again, CI skips nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from harness import reaper, skips
from harness.lifetime import without_settings
from harness.wheel_environment import user_variables
from tapedeck_deck.embedded.processes import wait_exit
from waits import eventually

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
PLUGINS = '["harness.lifetime", "harness.timeouts", "harness.fixtures", "harness.skips", "harness.scheduling"]'
LEAVES_MUCH = """
import os, subprocess, sys, time, multiprocessing
from pathlib import Path

FOLDER = Path({folder!r})
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def nap():
    time.sleep(600)


def test_it(tmp_path):
    daemon = subprocess.Popen(SLEEP, start_new_session=True)
    bare = subprocess.Popen([*SLEEP, "bare"])
    context = multiprocessing.get_context("forkserver")
    fork = context.Process(target=nap, daemon=True)
    fork.start()
    if os.geteuid() == 0:
        (tmp_path / "disk").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "disk"], check=True)
        (tmp_path / "disk" / "file").write_text("x")
    (FOLDER / "pids").write_text(f"{{daemon.pid}} {{bare.pid}} {{fork.pid}}")
    (FOLDER / "base").write_text(str(tmp_path))
    (FOLDER / "ready").touch()
    time.sleep(600)
"""


def start_pytest(folder: Path, test: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """A pytest of its own with our plugins, over one test file."""
    (folder / "conftest.py").write_text(f"pytest_plugins = {PLUGINS}\n")
    (folder / "test_inner.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 180\n")
    inner = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_") and k != "CI"}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "test_inner.py"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=inner | {"PYTHONPATH": str(TESTS)} | environment,
        )


def run_pytest(folder: Path, test: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output."""
    process = start_pytest(folder, test, *arguments, **environment)
    code = wait_exit(process, 120)
    return code, (folder / "log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the reaper reads /proc")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_runner_leaves_no_process_mount_or_folder(tmp_path: Path, workers: int) -> None:
    parallel = ["-n", str(workers)] if workers else []
    runner = start_pytest(tmp_path, LEAVES_MUCH.format(folder=str(tmp_path)), *parallel)
    eventually(lambda: (tmp_path / "ready").exists() or runner.poll() is not None)
    assert runner.poll() is None, (tmp_path / "log").read_text()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    base = Path((tmp_path / "base").read_text())
    assert all(_alive(pid) for pid in pids)
    assert not reaper.mounts_below(base), "a mount of the runner shows outside of it"
    runner.send_signal(signal.SIGKILL)
    wait_exit(runner, 60)
    eventually(lambda: not any(_alive(pid) for pid in pids))
    eventually(lambda: not _named(tmp_path))
    eventually(lambda: not base.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="the reaper reads /proc")
def test_a_worker_killed_alone_takes_its_processes_with_it(tmp_path: Path) -> None:
    test = LEAVES_MUCH.format(folder=str(tmp_path)).replace("time.sleep(600)\n", "os.kill(os.getpid(), 9)\n")
    code, said = run_pytest(tmp_path, test, "-n", "1", "--max-worker-restart", "0")
    assert (code, "crashed" in said) == (1, True), said
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    eventually(lambda: not any(_alive(pid) for pid in pids))


REAP = """
import os, sys
from harness import reaper
reaper.EXIT_SECONDS, reaper.GRACE_SECONDS, reaper.HELPERS_SECONDS = 0.1, 0.2, 100.0
reaper.main(sys.argv[1], os.getppid())
"""
FORKSERVER = "from multiprocessing.forkserver import main"


@pytest.mark.skipif(sys.platform != "linux", reason="the reaper reads /proc")
@pytest.mark.parametrize(("code", "reported"), [(FORKSERVER, False), ("import os", True)])
def test_a_server_of_multiprocessing_that_ends_late_is_not_reported(code: str, reported: bool) -> None:
    mark = f"test/{uuid.uuid4().hex}"
    late = f"{code}; import time; time.sleep({600 if reported else 2})"
    process = subprocess.Popen([sys.executable, "-c", late], env=os.environ | {reaper.MARK: mark})
    ended = threading.Thread(target=process.wait)  # a process that nobody waits for stays
    ended.start()
    done = subprocess.run(
        [sys.executable, "-c", REAP, mark],
        input=f"{reaper.FINISHED}\n",
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    ended.join(60)
    assert done.returncode == 0, done.stderr
    assert (late in done.stderr) == reported
    assert process.returncode == (-signal.SIGKILL if reported else 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the reaper reads /proc")
def test_a_process_of_a_user_has_no_settings_but_the_mark_of_its_runner(tmp_path: Path) -> None:
    """What a reader's command starts, such as a deck, would outlive a runner that is killed."""
    settings = {"TAPEDECK_HOME": "x", "PYTHONPATH": "y", "HOME": "z", reaper.MARK: "m"}
    assert without_settings(settings) == {"PYTHONPATH": "y", "HOME": "z", reaper.MARK: "m"}
    assert without_settings(settings, "PYTHON") == {"HOME": "z", reaper.MARK: "m"}
    assert user_variables(tmp_path)[reaper.MARK] == os.environ[reaper.MARK]


def test_a_shared_fixture_that_failed_is_started_again_for_the_next_test(tmp_path: Path) -> None:
    test = """
import pytest
starts = []

@pytest.fixture(scope="session")
def slow():
    starts.append(1)
    if len(starts) < {failures}:
        raise TimeoutError("too slow")
    yield "up"

@pytest.mark.parametrize("number", range(6))
def test_it(slow, number):
    assert slow == "up"

def test_it_was_not_started_too_often():
    assert len(starts) <= 3
"""
    code, said = run_pytest(tmp_path, test.format(failures=2))
    assert (code, "6 passed, 1 error" in said) == (1, True), said
    code, said = run_pytest(tmp_path, test.format(failures=99))
    assert (code, "1 passed, 6 errors" in said) == (1, True), said


SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="no Chromium on the path")
def test_marked(): ...

def test_called():
    pytest.skip("no TimescaleDB: debootstrap is not installed")

@pytest.fixture
def server():
    pytest.skip("no S3")

def test_fixture(server): ...
"""


def test_a_skip_fails_in_ci_alone(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, SKIPPED)
    assert (code, "3 skipped" in said) == (0, True), said
    code, said = run_pytest(tmp_path, SKIPPED, CI="true")
    assert (code, "1 failed, 2 errors" in said) == (1, True), said
    assert "skipped in CI, where nothing may be skipped for what CI can make" in said
    assert "no TimescaleDB: debootstrap is not installed" in said


def test_the_one_licence_that_ci_cannot_have_may_be_skipped() -> None:
    name, reason = "tests/integration/test_store_migrate.py::test_x[timescale]", "Skipped: TAPEDECK_TEST_TIMESCALE: no"
    assert skips.allowed(name, reason)
    assert not skips.allowed(name, "Skipped: no TimescaleDB")
    assert not skips.allowed("tests/integration/test_other.py::test_x", reason)


def test_the_limit_of_a_test_is_kept(tmp_path: Path) -> None:
    test = "import time\n\ndef test_it():\n    time.sleep(300)\n"
    code, said = run_pytest(tmp_path, test, "--timeout", "2")
    assert (code, "Timeout" in said) == (1, True), said


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _named(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return found
