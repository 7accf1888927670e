"""A backup of a running deck: its resources, its store and the settings of its sinks, consistent with one another.

The resources are copied first. Then the recorder writes what is on the permanent topics, and the store is dumped: the
results of every resource that is Complete in the copy are in the dump.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
from confluent_kafka import KafkaException

from tapedeck_common.settings import Connections
from tapedeck_common.store.recording_lag import wait_until_recorded
from tapedeck_common.store.schema_version import stored_revision
from tapedeck_common.topics import PERMANENT_TOPICS
from tapedeck_crds.base import format_ms
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import is_finished
from tapedeck_crds.secrets import is_own_secret
from tapedeck_deck.embedded import postgres_dump
from tapedeck_deck.embedded.backup_archive import (
    OBJECTS,
    STORE,
    Manifest,
    describe_parts,
    new_archive,
    sizes,
    write_archive,
)
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import MIGRATIONS, Objects
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.postgres_account import MAJOR
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.reconcile.api import CHILD_KINDS

OnProgress = Callable[[str, int], None]
"""Called with what is being done and the number of bytes so far."""

_MACHINERY = {*CHILD_KINDS, "Pod"} - {"ConfigMap", "Secret"}


class BackupResult(NamedTuple):
    """What a backup holds, and its size in bytes."""

    manifest: Manifest
    size: int


def back_up(home: StateDir, file: Path, on_progress: OnProgress = lambda _what, _bytes: None) -> BackupResult:
    """Write the backup of a running deck into a new file, for its owner alone.

    Raises DeckError; then no file was written.
    """
    with new_archive(file) as folder:
        on_progress("the resources", 0)
        resources = copy_objects(home.objects, folder / OBJECTS)
        _copy_sinks(home, folder)
        on_progress("what the recorder has yet to write", 0)
        revision = _await_recorder(home)
        postgres_dump.dump(Postgres(home.database), folder / STORE, lambda done: on_progress("the store", done))
        on_progress("the hashes", 0)
        manifest = Manifest(
            made_at=format_ms(time.time_ns() // 1_000_000),
            objects_version=len(MIGRATIONS),
            store_revision=revision,
            postgres=MAJOR,
            resources=resources,
            parts=describe_parts(folder),
        )
        write_archive(file, folder, manifest, lambda done: on_progress("the archive", done))
    return BackupResult(manifest, sizes(manifest.parts))


def copy_objects(source: Path, target: Path) -> dict[str, int]:
    """Copy the objects as a new deck begins with them; returns the number of resources by kind.

    What belongs to the running deck is left out: its connections with their passwords, and all pods with the Jobs and
    Deployments that own them. Resources that have not ended lose their status, and so begin again.
    """
    running = Objects(source)
    try:
        running.copy_to(target)
    finally:
        running.close()
    copied = Objects(target)
    try:
        documents = copied.list()
        for document in documents:
            kind, metadata = document["kind"], document["metadata"]
            key = (kind, metadata["namespace"], metadata["name"])
            own = kind in _MACHINERY or (kind == "Secret" and is_own_secret(metadata["name"]))
            if own or metadata.get("ownerReferences"):
                copied.delete(*key)
            elif kind in KINDS and not is_finished(document):
                copied.set_status(*key, {})
        copied.compact()
        return dict(sorted(Counter(d["kind"] for d in documents if d["kind"] in KINDS).items()))
    finally:
        copied.close()


def _copy_sinks(home: StateDir, folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.copyfile(home.sinks_file, folder / home.sinks_file.name)
    for path in sorted(home.sinks.rglob("*")) if home.sinks.is_dir() else ():
        if path.is_file():
            copy = folder / path.relative_to(home.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _await_recorder(home: StateDir) -> str:
    """Wait until the store has what is on the permanent topics now; returns the store's revision."""
    connections = Connections.read(home.migrate)
    try:
        with psycopg.connect(
            connections.store_dsn.get_secret_value(), autocommit=True, connect_timeout=10
        ) as connection:
            for topic in PERMANENT_TOPICS:
                if missing := wait_until_recorded(connections, connection, topic=topic):
                    raise DeckError(
                        f"the recorder does not write: {missing} records of {topic} are not in the store, and would "
                        "not be in the backup; `tapedeck logs recorder` says why"
                    )
            return stored_revision(connection)
    except (psycopg.Error, KafkaException) as error:
        raise DeckError(f"cannot read the deck's broker or database: {error}; see `tapedeck status`") from error
