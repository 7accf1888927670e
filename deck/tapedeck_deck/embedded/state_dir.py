"""Where an embedded deck keeps what it has, and whether it runs."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tapedeck_deck.embedded.errors import DeckError

VERSION = "1"


@dataclass(frozen=True)
class StateDir:
    """The folder of one deck."""

    root: Path

    @classmethod
    def at(cls, path: Path | str) -> StateDir:
        return cls(Path(path).expanduser().resolve())

    @property
    def objects(self) -> Path:
        return self.root / "objects.db"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def broker(self) -> Path:
        return self.root / "kafka"

    @property
    def database(self) -> Path:
        return self.root / "postgres"

    @property
    def migrate(self) -> Path:
        """Connections for those who may change the schema."""
        return self.root / "migrate"

    @property
    def replays_file(self) -> Path:
        """The uids of all Replays, a JSON array: the recorder deletes the topics of all others."""
        return self.root / "replays.json"

    @property
    def sinks_file(self) -> Path:
        """Other stores for the recorder: YAML, a list as `recorder.sinks` of the chart, read at the deck's start."""
        return self.root / "sinks.yaml"

    @property
    def sinks(self) -> Path:
        """What authorises them: a folder a sink, by name, with the files `authorization` and `ca`."""
        return self.root / "sinks"

    @property
    def deck_file(self) -> Path:
        """What the daemon says of itself once it is ready."""
        return self.root / "deck.json"

    @property
    def deck_log(self) -> Path:
        return self.logs / "deck.log"

    def prepare(self) -> None:
        """Make the folder, or check that it is one of ours. Raises DeckError."""
        mark = self.root / "version"
        self.root.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            if self.objects.exists() or self.broker.exists():
                raise DeckError(f"{self.root} holds a deck without a version; move it away and start anew")
            mark.write_text(VERSION)
        elif (found := mark.read_text().strip()) != VERSION:
            raise DeckError(
                f"{mark}: got deck version {found!r}, expected {VERSION}; "
                "use the Tapedeck that wrote it, or choose another --home"
            )
        for folder in (self.logs, self.pods):
            folder.mkdir(exist_ok=True)

    def lock(self) -> IO[str]:
        """Hold this home until the file is closed or the process ends. Raises DeckError where another does."""
        handle = (self.root / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise DeckError(f"a deck already runs in {self.root}: `tapedeck down` ends it") from None
        return handle

    def locked(self) -> bool:
        """Whether a process holds this home; the kernel lets go of it when that process ends."""
        path = self.root / "lock"
        if not path.exists():
            return False
        with path.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def running(self) -> dict[str, Any] | None:
        """What the running deck says of itself; None where none is ready."""
        try:
            facts: dict[str, Any] = json.loads(self.deck_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return facts if self.locked() else None

    def announce(self, facts: dict[str, Any]) -> None:
        """Say that the deck is ready."""
        fresh = self.deck_file.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": os.getpid(), **facts}))
        fresh.replace(self.deck_file)
