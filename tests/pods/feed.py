"""A Feed's pod as a real process."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endpoints import LOOPBACK
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.forkserver import ForkedModule


@dataclass
class FeedPod:
    """``python -m tapedeck_feed`` with the environment that the contract names."""

    bootstrap: str
    folder: Path
    root: Path
    spec: dict[str, Any]
    keys: dict[str, str] | None = None
    silence: float | None = None
    markets: float | None = None
    store: str = ""
    until: int | None = None
    shard: int = 0
    process: ForkedModule | None = None

    def start(self) -> None:
        connections = self.folder / "connections"
        connections.mkdir(parents=True, exist_ok=True)
        (connections / "kafka_bootstrap").write_text(self.bootstrap)
        (connections / "store_dsn").write_text(self.store)
        for name in ("port", "last"):
            (self.folder / name).unlink(missing_ok=True)
        environment = {
            "TAPEDECK_NAME": "feed",
            "TAPEDECK_SPEC": json.dumps(self.spec),
            "TMPDIR": str(self.folder),
            "TAPEDECK_FILES": str(self.root),
            "TAPEDECK_ENDPOINTS": LOOPBACK.model_dump_json(),
            "TAPEDECK_CONNECTIONS": str(connections),
            "TAPEDECK_PORT_FILE": str(self.folder / "port"),
            "TAPEDECK_TERMINATION_LOG": str(self.folder / "last"),
            "TAPEDECK_SHARD": str(self.shard),
        }
        if self.until is not None:
            environment["TAPEDECK_BACKFILL_UNTIL"] = str(self.until)
        if self.silence is not None:
            environment["TAPEDECK_SILENCE_SECONDS"] = str(self.silence)
        if self.markets is not None:
            environment["TAPEDECK_MARKETS_SECONDS"] = str(self.markets)
        if self.keys is not None:
            folder = self.folder / "keys"
            folder.mkdir(exist_ok=True)
            for name, text in self.keys.items():
                (folder / name).write_text(text)
            environment["TAPEDECK_EXCHANGE_KEYS"] = str(folder)
        self.process = forkserver.start("tapedeck_feed", log=self.folder / "log", env=os.environ | environment)

    def wait(self, timeout: float = 60) -> int:
        assert self.process is not None
        return processes.wait_exit(self.process, timeout)

    def run(self) -> tuple[int, dict[str, Any]]:
        """Exit code and last report."""
        self.start()
        code = self.wait()
        return code, self.last_report()

    def last_report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "last").read_text()))

    def get(self, path: str) -> str:
        """A page of the probe server, once it serves."""
        assert processes.wait_until((self.folder / "port").exists, timeout=60), self.log_tail()
        port = (self.folder / "port").read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
            return str(response.read().decode())

    def status(self) -> dict[str, Any]:
        """Its current report."""
        return dict(json.loads(self.get("/status")))

    def wait_for(self, ready: Callable[[], Any], timeout: float = 60.0) -> None:
        """Wait until ``ready`` is true, and fail when the pod ends before."""

        def is_ready() -> bool:
            assert self.process is not None and self.process.poll() is None, self.log_tail()
            with contextlib.suppress(OSError):  # it is ending; the next call fails
                return bool(ready())
            return False

        assert processes.wait_until(is_ready, timeout=timeout, poll=0.1), f"{self.status()}\n{self.log_tail()}"

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        return processes.stop(self.process, grace=timeout)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.kill()
        processes.wait_exit(self.process, 30)

    def log_tail(self) -> str:
        return processes.tail(self.folder / "log", 50)
