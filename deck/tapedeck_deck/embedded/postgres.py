"""The embedded database: PostgreSQL from a wheel, on a Unix socket, with a password for each role."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.postgres_account import MAJOR, account, programs
from tapedeck_deck.embedded.private_files import owned_folder, private_folder, write_private
from tapedeck_deck.embedded.scram import scram_verifier

DATABASE = "tapedeck"
SUPERUSER = "postgres"  # has no password: nobody can log in as it
OWNER = "tapedeck_owner"  # of the database and its tables
ROLES = (OWNER, "tapedeck_reader", "tapedeck_recorder")
INITDB_TIMEOUT = 600  # seconds; a few on an idle machine
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 100  # the kernel's limit is 107 on Linux and 103 on macOS
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "log_min_messages": "warning",
    "autovacuum_naptime": "30s",
}
# A reader's query sorts on disk: that of any holder of a control token, too.
TEMP_FILE_LIMIT = "4GB"
_LIMITS = (f"ALTER ROLE tapedeck_reader SET temp_file_limit = '{TEMP_FILE_LIMIT}'",)
# Workloads share a role, which may end its own sessions by default; the lock of a migration is an advisory one.
_RIGHTS = (
    "DO $$DECLARE name text; BEGIN FOR name IN SELECT oid::regprocedure FROM pg_proc "
    "WHERE pronamespace = 'pg_catalog'::regnamespace "
    "AND proname ~ '^pg_((terminate|cancel)_backend$|(try_)?advisory_)' LOOP "
    "EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name); "
    "EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tapedeck_owner', name); END LOOP; END$$;",
)
_ACCESS = b"local all all scram-sha-256\n"  # pg_hba.conf


@dataclass
class Postgres:
    """One server. ``folder`` holds its data and its socket; the files of passwords are in a folder beside it.

    The socket is in a folder of the temporary directory where the path of ``folder`` is too long for one, or has a
    comma, at which clients divide two hosts.
    """

    folder: Path
    roles: tuple[str, ...] = ROLES
    process: subprocess.Popen[bytes] | None = None

    def dsn(self, role: str = OWNER, database: str = DATABASE) -> str:
        """The libpq URI for a role. It names the file of the password, which only the deck's owner can read."""
        return f"{self._uri(role, database)}&passfile={quote(str(self._passfile(role)), safe='')}"

    def dsn_with_password(self, role: str) -> str:
        """The libpq URI with the role's password in it: for the files of one workload."""
        return self._uri(f"{role}:{self._password(role)}", DATABASE)

    @property
    def data(self) -> Path:
        return self.folder

    @property
    def log(self) -> Path:
        return self.folder.parent / "postgres.log"

    @property
    def sockets(self) -> Path:
        """The folder of the socket. Raises FileNotFoundError where it is a temporary one and none was made."""
        return self.folder if self._holds_socket else Path(self._sockets_file.read_text())

    def start(self) -> None:
        """Initialise new storage, start, and wait until it answers. Raises DeckError."""
        user = account()
        self._initialise(user)
        self._make_sockets(user)
        processes.begin_log(self.log)
        options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        sockets = Path() if self.sockets == self.folder else self.sockets
        self.process = processes.start(
            [programs(user) / "postgres", *self._data_option(user), "-k", sockets, *options],
            log=self.log,
            env=_environment(),
            user=user,
            cwd=self.folder,
            on_parent_death=signal.SIGINT,  # a fast shutdown
        )
        processes.wait_ready("the database", self.process, self._answers, log=self.log)

    def stop(self) -> None:
        """Shut down cleanly, or kill the process after 20 s."""
        if self.process is not None:
            processes.stop(self.process, grace=20, first=signal.SIGINT)
            self.process = None
        self.remove_sockets()

    def remove_sockets(self) -> None:
        """Remove a folder that was made for the socket. A server that was killed leaves it there."""
        if not self._holds_socket:
            if self._has_sockets:
                shutil.rmtree(self.sockets, ignore_errors=True)
            self._sockets_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End all its processes at once, as a crash would."""
        if self.process is not None:
            processes.stop(self.process, grace=10, first=signal.SIGQUIT)
            self.process = None

    @property
    def _holds_socket(self) -> bool:
        """Whether clients can name a socket in the folder."""
        path = os.fsencode(self.folder / SOCKET)
        return len(path) <= MAX_SOCKET_PATH and b"," not in path

    @property
    def _has_sockets(self) -> bool:
        """Whether a folder that was made for the socket is there, and is the database's alone."""
        try:
            found = self.sockets.lstat()
        except FileNotFoundError:
            return False
        user = account()
        owned = found.st_uid == (os.geteuid() if user is None else user.pw_uid)
        return stat.S_ISDIR(found.st_mode) and owned and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)

    @property
    def _passwords(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-passwords")

    @property
    def _sockets_file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-sockets")

    @property
    def _restrictions(self) -> Path:
        """What the roles were restricted to."""
        return self.folder.with_name(f"{self.folder.name}-restrictions")

    def _passfile(self, role: str) -> Path:
        return self._passwords / role

    def _password(self, role: str) -> str:
        return self._passfile(role).read_text().rsplit(":", 1)[1].strip()

    def _uri(self, login: str, database: str) -> str:
        return f"postgresql://{login}@/{database}?host={quote(str(self.sockets), safe='')}"

    def _data_option(self, user: pwd.struct_passwd | None) -> list[str | Path]:
        """The account of the database cannot enter the folders above its own: it is started inside of it."""
        return ["-D", self.folder if user is None or sys.platform != "linux" else "/proc/self/cwd"]

    def _make_sockets(self, user: pwd.struct_passwd | None) -> None:
        if self._holds_socket or self._has_sockets:  # of a server that crashed, whose clients know it
            return
        made = Path(tempfile.mkdtemp(prefix="tapedeck-", dir=_short_folder(user)))
        if user is not None:
            os.chown(made, user.pw_uid, user.pw_gid)
        write_private(self._sockets_file, str(made))

    def _initialise(self, user: pwd.struct_passwd | None) -> None:
        version = self.folder / "PG_VERSION"
        new = not version.exists()
        if not new and (found := version.read_text().strip()) != str(MAJOR):
            raise DeckError(
                f"database data in {self.folder}: got version {found}, expected {MAJOR}; "
                "use the version of Tapedeck that wrote it, or move the folder away"
            )
        if new:
            private_folder(self.folder, "the folder of the database")
            if user is not None:
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            options = ["--auth=reject", "--encoding=UTF8", "--locale=C", "--no-sync"]
            self._run(user, "initdb", *self._data_option(user), "-U", SUPERUSER, *options)
        private_folder(self._passwords, "the folder of the database's passwords")
        if new or not all(self._passfile(role).exists() for role in self.roles):
            self._set_access()
            self._set_passwords(user, new)
        self._restrict(user)

    def _set_access(self) -> None:
        """Let nobody in without a password. It follows no link: as root it writes into another user's folder."""
        opened = os.open(self.folder / "pg_hba.conf", os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
        try:
            os.write(opened, _ACCESS)
        finally:
            os.close(opened)

    def _set_passwords(self, user: pwd.struct_passwd | None, new: bool) -> None:
        """Give each role a password, and in new storage create the roles and the database first.

        This runs in the server's single-user mode, which needs no login.
        """
        statements: list[str] = []
        for role in self.roles:
            password = secrets.token_urlsafe(24)
            write_private(self._passfile(role), f"*:*:*:{role}:{password}\n")
            verb = "CREATE" if new and role != SUPERUSER else "ALTER"
            statements.append(f"{verb} ROLE {role} LOGIN PASSWORD '{scram_verifier(password)}'")
        if new:
            statements.append(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        self._run_statements(user, SUPERUSER, statements, ["-c", "fsync=off"] if new else [])

    def _restrict(self, user: pwd.struct_passwd | None) -> None:
        """Limit what the roles may do beside their tables, once: storage of an earlier version does not have it."""
        restrictions = "\n".join((*_LIMITS, *_RIGHTS))
        if self._restrictions.exists() and self._restrictions.read_text() == restrictions:
            return
        if "tapedeck_reader" in self.roles:
            self._run_statements(user, DATABASE, [*_LIMITS, *_RIGHTS])
        write_private(self._restrictions, restrictions)

    def _run_statements(
        self, user: pwd.struct_passwd | None, database: str, statements: list[str], options: Sequence[str] = ()
    ) -> None:
        """Run statements, each in one line, in the server's single-user mode. Raises DeckError."""
        arguments = ["--single", *self._data_option(user), *options, database]
        said = self._run(user, "postgres", *arguments, text="\n".join(statements))
        if "ERROR" in said:
            raise DeckError(f"cannot set up the roles of the database in {self.folder}: {said}")

    def _run(self, user: pwd.struct_passwd | None, program: str, *arguments: str | Path, text: str = "") -> str:
        """Run one of the database's programs to its end; returns its messages. Raises DeckError."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [programs(user) / program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT,
            env=_environment(),
            cwd=self.folder,
            umask=0o077,
            **processes.identity(user),
        )
        if done.returncode:
            for path in self.folder.iterdir() if program == "initdb" else ():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise DeckError(f"cannot initialise the database in {self.folder}: {done.stderr}")
        return done.stderr

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True


def _environment() -> Mapping[str, str]:
    """Nothing of the deck's own: it may hold keys, and the database runs as another user."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _short_folder(user: pwd.struct_passwd | None) -> str:
    """Where a folder with a short path can be made for the socket."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and user is None:  # no other user can enter it
        with contextlib.suppress(DeckError, FileNotFoundError):
            owned_folder(Path(runtime), "XDG_RUNTIME_DIR")
            return runtime
    chosen = tempfile.gettempdir()
    return chosen if len(os.fsencode(chosen)) + len(SOCKET) + 20 <= MAX_SOCKET_PATH else "/tmp"
