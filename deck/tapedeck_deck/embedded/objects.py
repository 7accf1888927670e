"""The embedded deck's resource store: Kubernetes-like objects in one SQLite file.

It implements the rules of the API server that Tapedeck relies on: uid, generation, resourceVersion, a separate status,
deletion that cascades along owner references, and a log of changes that a watch reads.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import event_log
from tapedeck_deck.embedded.admission import admit, merge_patch
from tapedeck_deck.embedded.change_notice import ChangeNotice
from tapedeck_deck.embedded.sqlite import Database
from tapedeck_operator.reconcile.errors import ObjectConflict, ObjectExists, ObjectNotFound

Jsons = list[Json]  # inside the class, `list` is the method
Outcome = Literal["created", "configured", "unchanged"]

_OBJECTS = """
CREATE TABLE objects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  document TEXT NOT NULL,
  UNIQUE (kind, namespace, name)
);
CREATE TABLE owners (
  owner TEXT NOT NULL, child TEXT NOT NULL REFERENCES objects (uid), PRIMARY KEY (owner, child)
) WITHOUT ROWID;
CREATE INDEX owners_of ON owners (child);
CREATE TABLE counter (version INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
"""
# One row for each write; a deletion keeps the last version of its object, as the watch of an API server reports it.
_CHANGES = """
CREATE TABLE changes (
  version INTEGER NOT NULL, uid TEXT NOT NULL, deleted TEXT, PRIMARY KEY (version, uid)
) WITHOUT ROWID
"""
# 1 where something of an object is still to be done: who looks for that does not read all that is over.
_UNFINISHED = """
ALTER TABLE objects ADD COLUMN unfinished INTEGER GENERATED ALWAYS AS (
  CASE
    WHEN kind IN ('Feed', 'Replay', 'Backtest', 'Pod') THEN
      coalesce(json_extract(document, '$.status.phase'), '') NOT IN ('Complete', 'Degraded', 'Failed', 'Succeeded')
    WHEN kind = 'Job' THEN json_extract(document, '$.status.conditions') IS NULL
    ELSE kind = 'Deployment'
  END
) VIRTUAL;
CREATE INDEX objects_unfinished ON objects (kind, uid) WHERE unfinished
"""
_FAMILY = """
WITH RECURSIVE family (uid) AS (SELECT ? UNION SELECT child FROM owners JOIN family ON owner = uid)
SELECT uid FROM family
"""
_LIST_OF_FAMILY = """
WITH RECURSIVE family (uid) AS (SELECT ? UNION SELECT child FROM owners JOIN family ON owner = uid)
SELECT document FROM family JOIN objects USING (uid) WHERE kind = ? ORDER BY id
"""
_LIST_CURRENT = """
WITH RECURSIVE family (uid) AS (
  SELECT uid FROM objects WHERE unfinished UNION SELECT child FROM owners JOIN family ON owner = uid)
SELECT document FROM objects WHERE kind IN ('Feed', 'Replay', 'Backtest') OR uid IN family ORDER BY id
"""
MIGRATIONS = (_OBJECTS + event_log.SCHEMA, _CHANGES, _UNFINISHED)


class Change(NamedTuple):
    """A changed object in its newest version, or a deleted one in its last."""

    deleted: bool
    document: Json


Changes = list[Change]


class Objects:
    """Objects as dicts. Safe for several processes and threads. Every method raises DeckError if the file fails."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it. Raises DeckError where it has a newer schema."""
        self._database = Database(path, MIGRATIONS)
        self.notice = ChangeNotice(path)
        self._database.on_commit(self.notice.send)

    def close(self) -> None:
        """Close the file."""
        self.notice.close()
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Write the objects as of one moment into a new file."""
        self._database.copy_to(path)

    def compact(self) -> None:
        """Forget the log of changes, and leave nothing of deleted objects in the file."""
        self.prune_changes(self.version)
        self._database.compact()

    def transaction(self) -> AbstractContextManager[object]:
        """Several changes as one: all of them, or none where an exception leaves the block."""
        return self._database.transaction()

    @property
    def version(self) -> int:
        """The last resourceVersion that any process wrote: one row, cheap to poll for changes."""
        return int(self._database.read("SELECT version FROM counter")[0][0])

    def on_commit(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` after each write through this object, in the thread that wrote, in place of its notice."""
        self._database.on_commit(notify)

    def changes(self, since: int) -> tuple[Changes, int]:
        """The objects that any process changed or deleted after a resourceVersion, and the newest one.

        An object that changed several times is there once, at the place of its first change.
        """
        rows = self._database.read(
            "SELECT version, uid, changes.deleted, document FROM changes LEFT JOIN objects USING (uid) "
            "WHERE version > ? ORDER BY version",
            since,
        )
        newest = {row["uid"]: row for row in rows}  # in order of their first changes
        return [_change(row) for row in newest.values()], int(rows[-1]["version"]) if rows else since

    def prune_changes(self, upto: int) -> None:
        """Forget the log of changes up to a resourceVersion, once its only reader has seen them."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM changes WHERE version <= ?", (upto,))

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """One object. Raises ObjectNotFound."""
        found = self._find(kind, namespace, name)
        if found is None:
            raise ObjectNotFound(f"{kind} {namespace}/{name} not found")
        return found

    def list(self, kind: str | None = None, namespace: str | None = None, owner_uid: str | None = None) -> Jsons:
        """The objects that match every given argument, oldest first."""
        given = {"kind": kind, "namespace": namespace, "owner": owner_uid}
        wanted = {column: value for column, value in given.items() if value is not None}
        # Only what is given is compared, and so an index leads to it: few objects are of a kind or an owner.
        table = "objects" if owner_uid is None else "owners JOIN objects ON uid = child"
        where = " AND ".join(f"{column} = ?" for column in wanted) or "TRUE"
        statement = f"SELECT document FROM {table} WHERE {where} ORDER BY id"  # noqa: S608 (no value is in it)
        return self._documents(statement, *wanted.values())

    def list_unfinished(self, kind: str) -> Jsons:
        """The objects of a kind that have not ended, oldest first: what has ended is not read."""
        return self._documents("SELECT document FROM objects WHERE unfinished AND kind = ? ORDER BY id", kind)

    def list_descendants(self, kind: str, uid: str) -> Jsons:
        """The objects of a kind that belong to the object of this uid, through others too, oldest first."""
        return self._documents(_LIST_OF_FAMILY, uid, kind)

    def list_current(self) -> Jsons:
        """All resources, and what has not ended with all that belongs to it, oldest first.

        Jobs and Pods of runs that are over are not read: nothing more is done with them.
        """
        return self._documents(_LIST_CURRENT)

    def _documents(self, statement: str, *values: str) -> Jsons:
        return [json.loads(row["document"]) for row in self._database.read(statement, *values)]

    def uids(self, kind: str) -> set[str]:
        """The uids of all objects of a kind, without reading these."""
        return {row["uid"] for row in self._database.read("SELECT uid FROM objects WHERE kind = ?", kind)}

    def apply(self, manifest: Json) -> tuple[Json, Outcome]:
        """Create an object, or replace everything of it but its status.

        A Feed, Replay or Backtest is validated and stored with its defaults. A changed spec raises its generation.
        Raises InvalidResource; ObjectConflict where the manifest has another uid or resourceVersion than the stored
        object; ObjectNotFound where one of its owners does not exist.
        """
        with self._database.transaction() as connection:
            metadata, old = self._existing(manifest)
            fresh = admit(manifest, old)
            if old is None:
                return self._create(connection, fresh), "created"
            _check_version(metadata, old)
            return self._replace(connection, fresh, old)

    def create(self, manifest: Json) -> Json:
        """Create an object. Raises ObjectExists where one has its name; else as ``apply``."""
        with self._database.transaction():
            _, old = self._existing(manifest)
            if old is not None:
                raise ObjectExists(f"{old['kind']} {old['metadata']['name']} exists already")
            return self.apply(manifest)[0]

    def patch_spec(self, kind: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch (RFC 7386) of spec, labels, annotations. Raises ObjectNotFound, InvalidResource."""
        from tapedeck_crds.patch import check_patch  # its imports are heavy

        check_patch(f"{kind} {name}", patch)
        with self._database.transaction():
            patched, _ = self.apply(merge_patch(self.get(kind, namespace, name), patch))
        return patched

    def set_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: Json,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Json | None:
        """Replace the status; returns None, and writes nothing, where it is the same.

        Raises ObjectNotFound where the object is gone or has another uid than the given one, ObjectConflict where it
        has another resourceVersion than the given one.
        """
        with self._database.transaction() as connection:
            old = self.get(kind, namespace, name)
            if uid is not None and old["metadata"]["uid"] != uid:
                raise ObjectNotFound(f"{kind} {namespace}/{name} of uid {uid} not found")
            _check_version({"resourceVersion": resource_version}, old)
            if old.get("status", {}) == status:
                return None
            return self._write(connection, old | {"status": status})

    def delete(self, kind: str, namespace: str, name: str, *, uid: str | None = None) -> bool:
        """Delete an object and its descendants; False where no object has this name and uid."""
        with self._database.transaction() as connection:
            found = self._find(kind, namespace, name)
            if found is None or uid not in (None, found["metadata"]["uid"]):
                return False
            version = _next_version(connection)
            descendants = connection.execute(_FAMILY, (found["metadata"]["uid"],)).fetchall()
            for (each,) in descendants:
                connection.execute("DELETE FROM owners WHERE owner = ?1 OR child = ?1", (each,))
                (document,) = connection.execute(
                    "DELETE FROM objects WHERE uid = ? RETURNING document", (each,)
                ).fetchone()
                connection.execute("INSERT INTO changes VALUES (?, ?, ?)", (version, each, document))
            return True

    def add_event(self, event: Json) -> None:
        """Record an event of an object: {uid, kind, name, namespace, type, reason, message, at}.

        The same reason and message of one uid within 10 minutes only raise its count. The last 5,000 are kept.
        """
        with self._database.transaction() as connection:
            event_log.add(connection, event)

    def events(self, uid: str | None = None, limit: int = 100) -> Jsons:
        """The last events of one object or of all, oldest first. ``count`` is how often each occurred."""
        rows = self._database.read(
            "SELECT * FROM events WHERE uid = coalesce(?, uid) ORDER BY id DESC LIMIT ?", uid, limit
        )
        return [{column: row[column] for column in event_log.COLUMNS} for row in reversed(rows)]

    def _existing(self, manifest: Json) -> tuple[Json, Json | None]:
        """The metadata of a manifest, which may be malformed, and the object that has its name."""
        given = manifest.get("metadata")
        metadata = given if isinstance(given, dict) else {}
        return metadata, self._find(manifest.get("kind"), metadata.get("namespace") or "default", metadata.get("name"))

    def _find(self, kind: object, namespace: object, name: object) -> Json | None:
        if not (isinstance(kind, str) and isinstance(namespace, str) and isinstance(name, str)):
            return None
        rows = self._database.read(
            "SELECT document FROM objects WHERE kind = ? AND namespace = ? AND name = ?", kind, namespace, name
        )
        found: Json | None = json.loads(rows[0]["document"]) if rows else None
        return found

    def _create(self, connection: sqlite3.Connection, fresh: Json) -> Json:
        metadata = fresh["metadata"] | {
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": event_log.now(),
        }
        connection.execute(
            "INSERT INTO objects (uid, kind, namespace, name, document) VALUES (?, ?, ?, ?, '{}')",
            (metadata["uid"], fresh["kind"], metadata["namespace"], metadata["name"]),
        )
        _write_owners(connection, metadata)
        return self._write(connection, fresh | {"metadata": metadata})

    def _replace(self, connection: sqlite3.Connection, fresh: Json, old: Json) -> tuple[Json, Outcome]:
        kept = {key: old["metadata"][key] for key in ("uid", "generation", "creationTimestamp", "resourceVersion")}
        new = fresh | {"metadata": fresh["metadata"] | kept}
        if "status" in old:
            new["status"] = old["status"]
        if new == old:
            return old, "unchanged"
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        if new["metadata"].get("ownerReferences") != old["metadata"].get("ownerReferences"):
            connection.execute("DELETE FROM owners WHERE child = ?", (kept["uid"],))
            _write_owners(connection, new["metadata"])
        return self._write(connection, new), "configured"

    def _write(self, connection: sqlite3.Connection, document: Json) -> Json:
        version = _next_version(connection)
        written = document | {"metadata": document["metadata"] | {"resourceVersion": str(version)}}
        text = json.dumps(written, separators=(",", ":"), allow_nan=False)
        uid = written["metadata"]["uid"]
        connection.execute("UPDATE objects SET document = ? WHERE uid = ?", (text, uid))
        connection.execute("INSERT INTO changes VALUES (?, ?, NULL)", (version, uid))
        result: Json = json.loads(text)  # a copy, which the caller may change
        return result


def _change(row: sqlite3.Row) -> Change:
    """From the last row of the change log for one object."""
    return Change(row["deleted"] is not None, json.loads(row["deleted"] or row["document"]))


def _next_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("UPDATE counter SET version = version + 1 RETURNING version").fetchone()[0])


def _write_owners(connection: sqlite3.Connection, metadata: Json) -> None:
    for owner in metadata.get("ownerReferences", ()):
        if not connection.execute("SELECT 1 FROM objects WHERE uid = ?", (owner["uid"],)).fetchone():
            raise ObjectNotFound(f"owner {owner.get('kind')} {owner.get('name')} of {metadata['name']} not found")
        connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (owner["uid"], metadata["uid"]))


def _check_version(given: Json, kept: Json) -> None:
    for field in ("uid", "resourceVersion"):
        if given.get(field) not in (None, "", kept["metadata"][field]):
            raise ObjectConflict(
                f"{kept['kind']} {kept['metadata']['name']}: metadata.{field}: got {given[field]!r}, "
                f"expected {kept['metadata'][field]!r}: it has changed since: read it again and repeat the change"
            )
