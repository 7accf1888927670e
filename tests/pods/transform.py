"""The transform pod of a Feed or a Replay, as a real process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.processes import Process


@dataclass
class TransformProcess:
    """``python -m tapedeck_transform``; ``functions`` is the folder with the user's functions."""

    folder: Path
    connections: Connections
    kind: str
    spec: Json
    uid: str
    functions: Path = Path("/nowhere")
    name: str = "test"
    launch: Start = forkserver.start
    process: Process | None = None
    home: Path = field(init=False)

    def start(self) -> None:
        self.home = self.folder / f"transform-{self.uid}"
        self.home.mkdir(exist_ok=True)
        (self.home / "port").unlink(missing_ok=True)
        environment = os.environ | {
            "TMPDIR": str(self.home),
            "TAPEDECK_NAME": self.name,
            "TAPEDECK_KIND": self.kind,
            "TAPEDECK_UID": self.uid,
            "TAPEDECK_SPEC": json.dumps(self.spec),
            "TAPEDECK_FUNCTIONS_0": str(self.functions),
            "TAPEDECK_PORT_FILE": str(self.home / "port"),
            "TAPEDECK_TERMINATION_LOG": str(self.home / "termination"),
            "TAPEDECK_CONNECTIONS": str(self.home),
            "TAPEDECK_CONNECTION_KAFKA_BOOTSTRAP": self.connections.kafka_bootstrap,
            "TAPEDECK_CONNECTION_STORE_DSN": self.connections.store_dsn.get_secret_value(),
        }
        self.process = self.launch("tapedeck_transform", [], log=self.home / "log", env=environment, cwd=Path.cwd())

    def status(self) -> Json:
        """The pod's report; empty before its server listens."""
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "log").read_text()[-3000:]
        return self.last_status()

    def last_status(self) -> Json:
        """The report of a pod that may have ended; empty where its server does not answer."""
        try:
            with urlopen(f"http://127.0.0.1:{(self.home / 'port').read_text()}/status", timeout=60) as answer:
                return dict(json.loads(answer.read()))
        except OSError:
            return {}

    def results(self) -> dict[str, Json]:
        """The report of each transform, by name."""
        return {each["name"]: each for each in (self.status().get("transforms") or {}).get("results", ())}

    def running(self) -> bool:
        """Whether the pod has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill the pod with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        processes.wait_exit(self.process, 30)

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        assert self.process is not None
        return processes.stop(self.process, grace=15)
