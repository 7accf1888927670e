"""Jars of Maven Central, downloaded once, and refused where they are not those that this version was tested with."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tapedeck_deck.embedded.download_cache import cache_dir, make_once
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import write_private

KAFKA = "4.1.1"
# kafka-clients is pinned: the resolver would choose an old version, with which the broker crashes.
BROKER = (
    f"org.apache.kafka:kafka-clients:{KAFKA}",
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
)
BROKER_LIST = Path(__file__).with_name("jars.txt")
DOWNLOAD_TIMEOUT_SECONDS = 60  # without receiving data
PROGRESS_SECONDS = 0.5
_PARTS = ("jars", "modules")
_CHECKED = "checked"  # the list that the jars of a folder were compared with


class Jar(NamedTuple):
    """A jar of Maven Central: coordinates, the SHA-256 of its file, and its licence by the identifiers of SPDX."""

    group: str
    artifact: str
    version: str
    hash: str
    licence: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_list(file: Path = BROKER_LIST) -> tuple[Jar, ...]:
    """The jars of a list, a line each: hash, coordinates and licence."""
    jars: list[Jar] = []
    for line in file.read_text().splitlines():
        value, coordinates, licence = line.split(" ", 2)
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, value, licence))
    return tuple(jars)


def class_path(coordinates: tuple[str, ...] = BROKER, expected: Sequence[Jar] | None = None) -> str:
    """The class path of Maven coordinates and all that they need, downloaded on first use.

    ``expected`` are all its jars, by default those of the broker. Raises DeckError where the download fails, or a jar
    is missing, unknown or has another hash.
    """
    jars = read_list() if expected is None else expected
    endpoint = "+".join(coordinates)
    folder = jar_folder(coordinates)
    make_once(folder, lambda unfinished: _make(endpoint, unfinished, jars))
    _check(folder, jars)
    return ":".join(f"{folder / part}/*" for part in _PARTS if (folder / part).is_dir())


def jar_folder(coordinates: tuple[str, ...] = BROKER) -> Path:
    """Where the jars of coordinates are kept; it exists once all are downloaded."""
    return cache_dir() / "jars" / sha256("+".join(coordinates).encode()).hexdigest()[:16]


def prefetch(on_bytes: Callable[[int], None]) -> bool:
    """Download the broker's jars where they are not there; returns whether it did.

    ``on_bytes`` is called now and then with the number of bytes that have arrived. Raises DeckError.
    """
    folder = jar_folder()
    if folder.is_dir():
        return False
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            on_bytes(_size(folder.with_name(f"{folder.name}.new")))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        class_path()
    finally:
        ended.set()
        watcher.join()
    return True


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it may be renamed meanwhile
                total += (Path(place) / name).lstat().st_size
    return total


def _make(endpoint: str, folder: Path, expected: Sequence[Jar]) -> None:
    fetch(endpoint, folder)
    _check(folder, expected)


def _check(folder: Path, expected: Sequence[Jar]) -> None:
    """Compare each jar once with a list; a folder of an earlier version is compared with that of this one."""
    checked, hashes = folder / _CHECKED, {jar.file_name: jar.hash for jar in expected}
    listed = sha256(repr(sorted(hashes.items())).encode()).hexdigest()
    if checked.exists() and checked.read_text() == listed:
        return
    found = {path.name: path for part in _PARTS for path in (folder / part).glob("*.jar")}
    for name in sorted(found.keys() | hashes.keys()):
        got = f"SHA-256 {sha256(found[name].read_bytes()).hexdigest()}" if name in found else "no such jar"
        wanted = f"SHA-256 {hashes[name]}" if name in hashes else "no such jar"
        if got != wanted:
            raise DeckError(
                f"{name}: got {got}, expected {wanted}; delete {folder} to download it again, and if that does not "
                "help, do not use this source of jars"
            )
    with contextlib.suppress(OSError):  # a full or read-only disk: they are compared at the next start again
        write_private(checked, listed)


def fetch(endpoint: str, folder: Path) -> None:
    """Download jars into a folder, through a repository there: an interrupted download leaves half a jar in it.

    Raises DeckError.
    """
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    for name in ("jgo", "jgo.maven"):
        logging.getLogger(name).setLevel(logging.ERROR)
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(
        repo_cache=folder / "repository", remote_repos=repositories, timeout=DOWNLOAD_TIMEOUT_SECONDS
    )
    try:
        environment = EnvironmentBuilder(context, folder / "environment").from_endpoint(endpoint)
    except Exception as error:  # jgo raises many types, and each means a failed download
        raise DeckError(f"cannot fetch {endpoint}: {error}. Is the Maven registry reachable?") from error
    for part in Path(environment.path).iterdir():
        part.rename(folder / part.name)
    shutil.rmtree(folder / "environment")
    shutil.rmtree(folder / "repository")  # the jars are hard links to its files
