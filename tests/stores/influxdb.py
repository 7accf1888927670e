"""InfluxDB from Debian's package, unpacked but not installed, so that no service starts."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from stores.debian import unpacked
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port

PACKAGE = "influxdb"
DATABASE, USER, PASSWORD = "tapedeck", "writer", "its-password"
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
    """A server that requires a password. Raises StoreNotInstallable where its package cannot be downloaded."""

    MILLISECOND = 1_000_000  # its times are nanoseconds

    authorization = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def __init__(self, folder: Path) -> None:
        self._program = program()
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The write endpoint."""
        return f"http://127.0.0.1:{self._port}/write?db={DATABASE}"

    def start(self) -> None:
        """Start the server, create the user and the database."""
        self._folder.mkdir(parents=True)
        config = self._folder / "influxdb.conf"
        config.write_text(_CONFIG.format(home=self._folder, http=self._port, rpc=free_port()))
        command: list[str | Path] = [self._program, "-config", config]
        self._process = processes.start(command, log=self._folder / "log")
        processes.wait_ready("InfluxDB", self._process, self._answers, log=self._folder / "log")
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
        try:
            self.query(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        except OSError:
            return False
        return True


def program() -> Path:
    """The server's binary, downloaded where it does not exist. Raises StoreNotInstallable."""
    return unpacked(PACKAGE) / "usr/bin/influxd"
