"""A Debian in a folder, with PostgreSQL 17 and its Apache-licensed TimescaleDB."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness.reaper import remove_tree
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.download_cache import cache_dir, make_once
from tapedeck_deck.embedded.errors import DeckError

SUITE = "trixie"
PACKAGE = "postgresql-17-timescaledb"
BINARIES = Path("/usr/lib/postgresql/17/bin")
STALL_SECONDS, LIMIT_SECONDS = 300.0, 3600.0
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Unavailable(Exception):
    """This machine cannot make the chroot; the message says what it lacks."""


def chroot() -> Path:
    """The folder, made where it does not exist: about a minute and 500 MB. Raises Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("a chroot can only be made and entered as root")
    home = cache_dir() / f"timescale-{SUITE}"
    if home.is_dir():
        return home
    tool = shutil.which("debootstrap", path=_SYSTEM_PATH)
    if tool is None:
        raise Unavailable("debootstrap is not installed")
    return make_chroot(home, tool)


def make_chroot(home: Path, tool: str) -> Path:
    """Make it by debootstrap or a program that takes its arguments. Raises Unavailable."""
    log = home.with_suffix(".log")
    # An interrupted debootstrap leaves /proc mounted in its folder, hence remove_tree.
    return make_once(home, lambda unfinished: _bootstrap(tool, unfinished, log), remove=remove_tree)


def _bootstrap(tool: str, root: Path, log: Path) -> None:
    command = [*_isolated(), tool, "--variant=minbase", f"--include={PACKAGE}", SUITE, str(root)]
    if mirror := _mirror():
        command.append(mirror)
    log.unlink(missing_ok=True)
    process = processes.start(command, log=log, env={**os.environ, "PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8"})
    try:
        code = processes.wait_finished("debootstrap", process, log=log, stall=STALL_SECONDS, limit=LIMIT_SECONDS)
    except DeckError as error:
        raise Unavailable(str(error)) from error
    if code:
        raise Unavailable(f"debootstrap exited with code {code}: {processes.tail(log, 1)} (see {log})")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)


def _isolated() -> list[str]:
    """A prefix for a command: its processes and mounts end with it."""
    prefix = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if works else []


def _mirror() -> str | None:
    """The Debian mirror of this machine's apt; None for debootstrap's default."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.suffix in (".list", ".sources") and file.is_file())
    found = re.findall(r"^\s*(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(https?://\S*/debian)/?(?:\s|$)", text, re.MULTILINE)
    return found[0] if found else None
