"""A PostgreSQL with TimescaleDB, on a port of the loopback."""

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

# util-linux' tool asks the kernel for the signal after it has become the user: to change users forgets it.
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
    """One server, its data in a folder of its own inside the chroot. Raises Unavailable where there can be none."""

    def __init__(self, log: Path) -> None:
        self._root = chroot()
        self._log = log
        self._home = Path(tempfile.mkdtemp(prefix="tapedeck-", dir=self._root / "tmp"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, role: str = "postgres", database: str = "postgres") -> str:
        """The libpq URI for a role."""
        return f"postgresql://{role}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Make the cluster, start, wait until it answers, make the roles."""
        inside = Path("/") / self._home.relative_to(self._root)
        shutil.chown(self._home, *self._owner())
        data = inside / "data"
        subprocess.run(
            self._command(
                "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
            ),
            check=True,
            capture_output=True,
            timeout=60,
        )
        options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        self._process = processes.start(
            self._command("postgres", "-D", data, "-p", self._port, *options), log=self._log
        )
        if not processes.wait_until(self._answers, timeout=30):
            raise TimeoutError(f"TimescaleDB did not answer in 30 s:\n{processes.tail(self._log)}")
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role} LOGIN")

    def stop(self) -> None:
        """End it and remove its data."""
        if self._process is not None:
            processes.stop(self._process, grace=20, first=signal.SIGINT)
            self._process = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _command(self, program: str, *arguments: object) -> list[str | Path]:
        return ["chroot", self._root, *_AS_POSTGRES, BINARIES / program, *map(str, arguments)]

    def _owner(self) -> tuple[int, int]:
        """User and group of `postgres` as the chroot numbers them."""
        for line in (self._root / "etc/passwd").read_text().splitlines():
            name, _, user, group, *_ = line.split(":")
            if name == "postgres":
                return int(user), int(group)
        raise LookupError("the chroot has no user postgres")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"TimescaleDB ended at its start:\n{processes.tail(self._log)}")
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
