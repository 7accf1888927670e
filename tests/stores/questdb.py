"""QuestDB: the jar from Maven Central, run by the embedded broker's JRE."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tapedeck_deck.embedded import jars, jvm, processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.ports import free_port

JAR = jars.Jar("org.questdb", "questdb", "9.1.0", "89d27871990db40b85716ffe0db0ad2a369b9e2169d985053bffb05167271682")
FLAGS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
USER, PASSWORD = "writer", "its-password"


def class_path() -> str:
    """QuestDB's jar, downloaded once. Raises DeckError."""
    return jars.class_path((f"{JAR.group}:{JAR.artifact}:{JAR.version}",), [JAR])


class StoreNotInstallable(Exception):
    """This machine cannot run the server; the message says what it lacks."""


class QuestDB:
    """A server that requires a password. Raises StoreNotInstallable where its jar cannot be downloaded."""

    MILLISECOND = 1_000  # its times are microseconds
    authorization = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._class_path = class_path()
        except DeckError as error:
            raise StoreNotInstallable(str(error)) from error

    @property
    def url(self) -> str:
        """The write endpoint."""
        return f"http://127.0.0.1:{self._port}/write"

    def start(self) -> None:
        """Start and wait until it answers."""
        self._folder.mkdir(parents=True)
        self._process = processes.start(
            [
                str(jvm.java()), *FLAGS, "-cp", self._class_path, "io.questdb.ServerMain",
                "-d", str(self._folder), "-n",
            ],
            log=self._folder / "log",
            env={
                "QDB_HTTP_BIND_TO": f"127.0.0.1:{self._port}",
                "QDB_HTTP_USER": USER,
                "QDB_HTTP_PASSWORD": PASSWORD,
                "QDB_HTTP_MIN_ENABLED": "false",
                "QDB_PG_ENABLED": "false",
                "QDB_LINE_TCP_ENABLED": "false",
                "QDB_TELEMETRY_ENABLED": "false",
                "QDB_SHARED_WORKER_COUNT": "1",
                "QDB_WAL_APPLY_WORKER_COUNT": "1",
            },
        )  # fmt: skip
        processes.wait_ready("QuestDB", self._process, self._answers, log=self._folder / "log")

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, grace=5)

    def query(self, text: str) -> list[list[Any]]:
        """The rows of a statement; empty for a statement without rows."""
        address = f"http://127.0.0.1:{self._port}/exec?" + urlencode({"query": text})
        with urlopen(Request(address, headers={"authorization": self.authorization}), timeout=60) as answer:
            found: list[list[Any]] = json.load(answer).get("dataset", [])
        return found

    def _answers(self) -> bool:
        try:
            return bool(self.query("SELECT 1"))
        except OSError:
            return False
