"""Programs from Debian's packages, unpacked but not installed, so that no service starts."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

from stores.questdb import StoreNotInstallable
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.download_cache import cache_dir, make_once
from tapedeck_deck.embedded.errors import DeckError

FETCH_LIMIT_SECONDS = 1200.0


def unpacked(package: str) -> Path:
    """The folder with a package's files, downloaded where it does not exist. Raises StoreNotInstallable."""
    return make_once(cache_dir() / package, partial(_fetch, package))


def _fetch(package: str, folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise StoreNotInstallable("this system has no apt")
    folder.mkdir()
    log = folder.parent / f"{package}.log"
    download = processes.start(["apt-get", "download", package], log=log, cwd=folder)
    try:
        code = processes.wait_finished("apt-get", download, log=log, limit=FETCH_LIMIT_SECONDS)
    except DeckError as error:
        raise StoreNotInstallable(str(error)) from error
    packages = list(folder.glob("*.deb"))
    if code or not packages:
        raise StoreNotInstallable(f"apt-get has no package {package}: {processes.tail(log, 3)}")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(folder)], check=True, timeout=FETCH_LIMIT_SECONDS)
    packages[0].unlink()
