"""The state directory of an embedded deck, its lock, and the file that describes the running deck."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tapedeck_common.atomic_file import write_atomically
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import open_private, private_folder, write_private

VERSION = "2"


@dataclass(frozen=True)
class StateDir:
    """One deck's directory; each property is the path of a file or a folder in it."""

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
    def prometheus(self) -> Path:
        """Configuration and data of the deck's Prometheus, where it was started with one."""
        return self.root / "prometheus"

    @property
    def migrate(self) -> Path:
        """Connections with the right to change schema, topics and ACLs, for the migration."""
        return self.root / "migrate"

    @property
    def kafka_file(self) -> Path:
        """Address and account of the broker for its owner's own programs: a properties file of librdkafka."""
        return self.root / "kafka.properties"

    @property
    def replays_file(self) -> Path:
        """The uids of all Replays, a JSON array: the recorder deletes the topics of all others."""
        return self.root / "replays.json"

    @property
    def sinks_file(self) -> Path:
        """The recorder's additional sinks, read at the start: a YAML list like `recorder.sinks` of the chart."""
        return self.root / "sinks.yaml"

    @property
    def endpoints_file(self) -> Path:
        """Where URLs of resources may lead to, read at the start: YAML like `endpoints` of the chart."""
        return self.root / "endpoints.yaml"

    @property
    def sinks(self) -> Path:
        """Credentials of the sinks: a folder for each, by name, with the files `authorization` and `ca`."""
        return self.root / "sinks"

    @property
    def uploads(self) -> Path:
        """Files that came by the gateway, until no Feed names them: a folder for each upload, by namespace."""
        return self.root / "uploads"

    @property
    def gateway(self) -> Path:
        """The gateway's folder: the socket of resources, and the token for changing them."""
        return self.root / "gateway"

    @property
    def api_socket(self) -> Path:
        """The Unix socket at which the gateway reads and changes resources."""
        return self.gateway / "api.sock"

    @property
    def control_token_file(self) -> Path:
        """The token with which the deck's owner changes resources by the gateway; another one at each start."""
        return self.gateway / "control.token"

    @property
    def deck_file(self) -> Path:
        """JSON that describes the running deck (pid, addresses); it exists once the deck is ready."""
        return self.root / "deck.json"

    @property
    def problems_file(self) -> Path:
        """What keeps parts of the running deck from their work."""
        return self.root / "problems"

    @property
    def awaited_file(self) -> Path:
        """What a deck that starts is waiting for, as text."""
        return self.root / "awaited"

    @property
    def deck_log(self) -> Path:
        return self.logs / "deck.log"

    def prepare(self) -> None:
        """Create the directory for its owner alone, or check owner and version of an existing one. Raises DeckError."""
        version_file = self.root / "version"
        private_folder(self.root, "--home")
        if not version_file.exists():
            if self.objects.exists() or self.broker.exists():
                raise DeckError(f"{self.root} contains a deck without a version file; move it away and start again")
            write_private(version_file, VERSION)
        elif (found := version_file.read_text().strip()) != VERSION:
            raise DeckError(
                f"{version_file}: got deck version {found!r}, expected {VERSION}; "
                "use the version of Tapedeck that wrote it, or choose another --home"
            )
        for folder in (self.logs, self.pods):
            private_folder(folder, "--home")

    def lock(self) -> IO[str]:
        """Lock the directory until the file is closed or the process ends. Raises DeckError if it is locked."""
        handle = open_private(self.root / "lock", "a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise DeckError(f"a deck already runs in {self.root}: `tapedeck down` stops it") from None
        with contextlib.suppress(OSError):  # a full disk: the deck then says so itself
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        return handle

    def holder(self) -> int | None:
        """The process that has locked the directory: a deck that runs or starts; None if there is none."""
        if not self.locked():
            return None
        text = (self.root / "lock").read_text()
        if text.isdigit():
            return int(text)
        facts = self.running()
        return None if facts is None else int(facts["pid"])

    def locked(self) -> bool:
        """Whether a process has locked the directory. The kernel releases the lock when that process ends."""
        path = self.root / "lock"
        if not path.exists():
            return False
        with path.open() as handle:  # not to write: its disk may be read-only
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def running(self) -> dict[str, Any] | None:
        """The deck file of the running deck; None if no deck is ready."""
        try:
            facts: dict[str, Any] = json.loads(self.deck_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return facts if self.locked() else None

    def await_(self, what: str) -> None:
        """Write down what the starting deck waits for."""
        write_atomically(self.awaited_file, what)

    def awaited(self) -> str:
        """What the starting deck waits for; empty before it has begun and once it is ready."""
        try:
            return self.awaited_file.read_text()
        except FileNotFoundError:
            return ""

    def announce(self, facts: dict[str, Any]) -> None:
        """Write the deck file: the deck is ready."""
        write_atomically(self.deck_file, json.dumps({"pid": os.getpid(), **facts}))
        self.awaited_file.unlink(missing_ok=True)
