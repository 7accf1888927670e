"""A process that ends what a test runner leaves behind, even where the runner is killed.

Its standard input is a pipe that the runner holds open. What the runner starts inherits a mark in its environment.
When the runner ends, the reaper kills every process with that mark and deletes the folders that the runner named, one
a line. It imports nothing but the standard library: each xdist worker has one.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MARK = "TAPEDECK_TEST_RUN"
FINISHED = "finished"  # the runner ends by itself: its processes have a moment to end, and are reported after it
EXIT_SECONDS, GRACE_SECONDS, HELPERS_SECONDS = 60.0, 5.0, 60.0
# The runner's own servers end when they find their pipe to it closed, which takes a while on a busy machine.
HELPERS = ("from multiprocessing.forkserver import main", "from multiprocessing.resource_tracker import main")
KILL_SECONDS = 20.0
_POLL_SECONDS = 0.25


def main(mark: str, runner: int) -> None:
    """Wait until the runner has ended, then kill and delete."""
    lines = _until_end(sys.stdin.fileno(), runner)
    finished = FINISHED in lines
    if finished:
        _wait(lambda: os.getppid() != runner, EXIT_SECONDS)  # its helpers end with it
        _wait(lambda: not marked(mark), GRACE_SECONDS)
        _wait(lambda: not any(is_helper(command) for command in marked(mark).values()), HELPERS_SECONDS)
    killed = _kill_all(mark)
    if finished and killed:
        print("the tests left processes behind, which were killed:", *killed, sep="\n  ", file=sys.stderr)
    for line in lines:
        if line != FINISHED:
            remove_tree(Path(line))


def marked(mark: str) -> dict[int, str]:
    """The processes with a mark, or with one that was made below it: process id to command line."""
    found = {}
    entry = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            pid, environment = int(process.name), (process / "environ").read_bytes()
            if pid != os.getpid() and any(v == entry or v.startswith(entry + b"/") for v in environment.split(b"\0")):
                found[pid] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            continue  # it ended, or belongs to another user
    return found


def is_helper(command: str) -> bool:
    """Whether a process is a server of Python's multiprocessing: its forkserver, a fork of it, or its tracker."""
    return any(each in command for each in HELPERS)


def remove_tree(folder: Path) -> None:
    """Delete a folder after unmounting what is mounted in it. Raises OSError where a mount stays."""
    for point in sorted(mounts_below(folder), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    if left := mounts_below(folder):
        raise OSError(f"{folder}: cannot unmount {', '.join(left)}; nothing was deleted")
    shutil.rmtree(folder, ignore_errors=True)


def mounts_below(folder: Path) -> list[str]:
    """The mount points at or below a folder."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except FileNotFoundError:
        return []
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if Path(point).is_relative_to(folder.resolve())]


def _until_end(source: int, runner: int) -> list[str]:
    received = b""
    while os.getppid() == runner:
        if select.select([source], [], [], _POLL_SECONDS)[0]:
            data = os.read(source, 65536)
            if not data:
                break
            received += data
    return received.decode().splitlines()


def _wait(ended: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not ended() and time.monotonic() < until:
        time.sleep(0.1)


def _kill_all(mark: str) -> list[str]:
    """Kill until two looks in a row find nothing: a process may fork while it is being killed."""
    killed: dict[int, str] = {}
    quiet, until = 0, time.monotonic() + KILL_SECONDS
    while quiet < 2 and time.monotonic() < until:
        found = marked(mark)
        quiet = 0 if found else quiet + 1
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        killed |= found
        time.sleep(0.05)
    return list(killed.values())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
