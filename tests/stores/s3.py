"""S3: Versity's gateway over a folder, which the rig builds from Go modules (tests/e2e/rig/build)."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from kube.api import RIG_BIN
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port

PROGRAM = RIG_BIN / "versitygw"
START_SECONDS = 30.0
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "its-access-key", "its-secret-key"


class S3:
    """One server, on the loopback. What is put below ``root`` is an object: <bucket>/<key>."""

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
        if not processes.wait_until(self._listens, timeout=START_SECONDS):
            raise AssertionError(f"S3 did not answer:\n{processes.tail(self._folder / 'log')}")

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, grace=5)

    def credentials(self, folder: Path, **changed: str) -> Path:
        """A folder as the Secret's mount is; ``changed`` ones are wrong, empty ones missing."""
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
        assert self._process is not None
        assert self._process.poll() is None, processes.tail(self._folder / "log")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
