"""Starting a process of the deck: a signal that arrives meanwhile is not lost, and the environment has no secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tapedeck_deck.embedded.processes import kept_environment

# Ctrl-C within the fork itself: Python ignores what the callbacks around a fork raise.
INTERRUPTED_FORK = """
import os, signal, sys
from pathlib import Path
from tapedeck_deck.embedded import processes

def raising(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.{name}, raising)
os.register_at_fork({when}=lambda: os.kill(os.getpid(), signal.{name}))
try:
    processes.start(["sleep", "60"], log=Path(sys.argv[1]), env={{}})
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.{name}) is raising)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child is left")
"""


@pytest.mark.parametrize("when", ["before", "after_in_parent"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_a_fork_is_handled_after_it(tmp_path: Path, name: str, when: str) -> None:
    script = INTERRUPTED_FORK.format(name=name, when=when)
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("interrupted True\nno child is left\n", "")


def test_a_deck_has_of_the_environment_what_its_programs_need_and_nothing_that_may_be_secret() -> None:
    needed = {
        "PATH": "/bin", "HOME": "/root", "TMPDIR": "/x", "TZ": "UTC", "LC_ALL": "C", "LANG": "C",
        "XDG_CACHE_HOME": "/c", "PYTHONPATH": "tests", "OPENBLAS_NUM_THREADS": "1", "LD_LIBRARY_PATH": "/lib",
    }  # fmt: skip
    secret = {
        "AWS_SECRET_ACCESS_KEY": "x", "HTTPS_PROXY": "http://user:password@proxy/", "https_proxy": "x",
        "PGPASSWORD": "x", "OTEL_EXPORTER_OTLP_HEADERS": "x", "TAPEDECK_TOKEN": "x",
        "PIP_INDEX_URL": "https://user:password@index/",
        "JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStorePassword=x",
    }  # fmt: skip
    assert kept_environment(needed | secret) == needed
