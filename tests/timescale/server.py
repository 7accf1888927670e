"""A PostgreSQL server with TimescaleDB, on a loopback port."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES
from timescale.chroot import BINARIES, chroot

# setpriv sets the parent-death signal after it has changed the user, since that change clears the signal.
_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT")
SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # the chroot has no /dev/shm
    "max_connections": "40",
    "fsync": "off",  # the data is gone after the tests
}


class Timescale:
    """A server with its data in a new folder inside the chroot. Raises Unavailable where that cannot be made."""

    def __init__(self, log: Path) -> None:
        self._root = chroot()
        self._log = log
        self.home = Path(tempfile.mkdtemp(prefix="tapedeck-", dir=self._root / "tmp"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, role: str = "postgres", database: str = "postgres") -> str:
        """The libpq URI for a role."""
        return f"postgresql://{role}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Run initdb, start the server, wait until it answers, create the roles."""
        inside = Path("/") / self.home.relative_to(self._root)
        shutil.chown(self.home, *self._owner())
        data = inside / "data"
        subprocess.run(
            self._command(
                "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
            ),
            check=True,
            capture_output=True,
            timeout=600,
        )
        options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        self._process = processes.start(
            self._command("postgres", "-D", data, "-p", self._port, *options), log=self._log
        )
        processes.wait_ready("TimescaleDB", self._process, self._answers, log=self._log)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role} LOGIN")

    def stop(self) -> None:
        """Stop it and delete its data."""
        if self._process is not None:
            processes.stop(self._process, grace=20, first=signal.SIGINT)
            self._process = None
        shutil.rmtree(self.home, ignore_errors=True)

    def _command(self, program: str, *arguments: object) -> list[str | Path]:
        return ["chroot", self._root, *_AS_POSTGRES, BINARIES / program, *map(str, arguments)]

    def _owner(self) -> tuple[int, int]:
        """The ids of user and group `postgres` in the chroot."""
        for line in (self._root / "etc/passwd").read_text().splitlines():
            name, _, user, group, *_ = line.split(":")
            if name == "postgres":
                return int(user), int(group)
        raise LookupError("the chroot has no user postgres")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
