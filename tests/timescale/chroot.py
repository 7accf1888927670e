"""A Debian in a folder with PostgreSQL 17 and its Apache-licensed TimescaleDB, made once and kept."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

from tapedeck_deck.embedded.jvm import cache_dir

SUITE = "trixie"
PACKAGE = "postgresql-17-timescaledb"
BINARIES = Path("/usr/lib/postgresql/17/bin")
MAKE_TIMEOUT = 600
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Unavailable(Exception):
    """This machine can't make the chroot; the message says what it lacks."""


def chroot() -> Path:
    """The folder, made where it is missing: about a minute and 500 MB. Raises Unavailable."""
    home = cache_dir() / f"timescale-{SUITE}"
    if os.geteuid() != 0:
        raise Unavailable("a chroot can only be made and entered as root")
    if home.is_dir():
        return home
    tool = shutil.which("debootstrap", path=_SYSTEM_PATH)
    if tool is None:
        raise Unavailable("debootstrap is not installed")
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be making it
        if not home.is_dir():
            _make(tool, home)
    return home


def _make(tool: str, home: Path) -> None:
    fresh = home.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    log = home.with_suffix(".log")
    command = [tool, "--variant=minbase", f"--include={PACKAGE}", SUITE, str(fresh)]
    if mirror := _mirror():
        command.append(mirror)
    with log.open("w") as output:
        done = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
            timeout=MAKE_TIMEOUT,
        )
    if done.returncode:
        last = log.read_text().strip().splitlines()[-1:]
        raise Unavailable(f"debootstrap ended with {done.returncode}: {' '.join(last)} (see {log})")
    shutil.rmtree(fresh / "var/cache/apt/archives", ignore_errors=True)
    fresh.rename(home)  # all or nothing: a run that is killed leaves no half of it


def _mirror() -> str | None:
    """The mirror that this machine takes Debian from; None for debootstrap's own choice."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.suffix in (".list", ".sources") and file.is_file())
    found = re.findall(r"^\s*(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(https?://\S*/debian)/?(?:\s|$)", text, re.MULTILINE)
    return found[0] if found else None
