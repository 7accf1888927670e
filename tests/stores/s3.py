"""An S3 server: Versity's gateway over a folder; tests/e2e/rig/build builds it from Go modules."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from kube.api import RIG_BIN
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port

PROGRAM = RIG_BIN / "versitygw"
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "its-access-key", "its-secret-key"


class S3:
    """A server on the loopback. A file <bucket>/<key> below ``root`` is an object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.root = folder / "buckets"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.root.mkdir(parents=True)
        command: list[str | Path] = [
            PROGRAM, "--port", f"127.0.0.1:{self._port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY,
            "--region", REGION, "--quiet", "posix", "--nometa", self.root,
        ]  # fmt: skip
        self._process = processes.start(command, log=self._folder / "log")
        processes.wait_ready("S3", self._process, self._listens, log=self._folder / "log")

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, grace=5)

    def credentials(self, folder: Path, **changed: str) -> Path:
        """A folder like the Secret's mount. ``changed`` replaces values; an empty value leaves the file out."""
        files = {
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "region": REGION,
            "endpoint": f"http://127.0.0.1:{self._port}",
        }
        folder.mkdir()
        for name, value in (files | changed).items():
            if value:
                (folder / name).write_text(f"{value}\n")
        return folder

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
