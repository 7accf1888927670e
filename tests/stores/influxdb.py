"""InfluxDB: Debian's package, unpacked but not installed, so that no service starts."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from stores.questdb import Unavailable
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.jvm import cache_dir
from tapedeck_deck.embedded.ports import free_port

PACKAGE = "influxdb"
DATABASE, USER, PASSWORD = "tapedeck", "writer", "its-password"
FETCH_SECONDS, START_SECONDS = 120, 60.0
_CONFIG = """\
reporting-enabled = false
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{home}/meta"
[data]
  dir = "{home}/data"
  wal-dir = "{home}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = true
  log-enabled = false
"""


class InfluxDB:
    """One server that asks for a password. Raises Unavailable where its package can't be had."""

    MILLISECOND = 1_000_000  # its times are nanoseconds

    authorization = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def __init__(self, folder: Path) -> None:
        self._program = _program()
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where points go."""
        return f"http://127.0.0.1:{self._port}/write?db={DATABASE}"

    def start(self) -> None:
        """Start, make the user and the database."""
        self._folder.mkdir(parents=True)
        config = self._folder / "influxdb.conf"
        config.write_text(_CONFIG.format(home=self._folder, http=self._port, rpc=free_port()))
        command: list[str | Path] = [self._program, "-config", config]
        self._process = processes.start(command, log=self._folder / "log")
        if not processes.wait_until(self._answers, timeout=START_SECONDS):
            raise AssertionError(f"InfluxDB did not answer:\n{processes.tail(self._folder / 'log')}")
        self.query(f"CREATE DATABASE {DATABASE}")

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, grace=5)

    def query(self, text: str) -> list[list[Any]]:
        """The rows of a statement's first series; times in nanoseconds."""
        body = urlencode({"q": text, "db": DATABASE, "epoch": "ns"}).encode()
        request = Request(
            f"http://127.0.0.1:{self._port}/query", body, {"authorization": self.authorization}, method="POST"
        )
        with urlopen(request, timeout=60) as answer:
            found = json.load(answer)["results"][0]
        return list(found["series"][0]["values"]) if "series" in found else []

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, processes.tail(self._folder / "log")
        try:
            self.query(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        except OSError:
            return False
        return True


def _program() -> Path:
    """The server, fetched where it is missing."""
    home = cache_dir() / PACKAGE
    program = home / "usr/bin/influxd"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be fetching it
        if not program.exists():
            _fetch(home)
    return program


def _fetch(home: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable("this is no Debian")
    fresh = home.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    got = subprocess.run(
        ["apt-get", "download", PACKAGE], cwd=fresh, capture_output=True, text=True, timeout=FETCH_SECONDS
    )
    packages = list(fresh.glob("*.deb"))
    if got.returncode or not packages:
        raise Unavailable(f"apt-get has no package {PACKAGE}: {got.stderr.strip()[-300:]}")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(fresh)], check=True, timeout=FETCH_SECONDS)
    fresh.rename(home)  # all or nothing
