"""The embedded deck's resource store: Kubernetes-like objects in one SQLite file.

It keeps the API server's rules that Tapedeck builds on: uid, generation, resourceVersion, a status apart
from the rest, owner references that cascade.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import event_log
from tapedeck_deck.embedded.admission import admit, check_patch, merge_patch
from tapedeck_deck.embedded.sqlite import Database

Jsons = list[Json]  # inside the class, `list` is the method
Outcome = Literal["created", "configured", "unchanged"]

SCHEMA_VERSION = 1
_SCHEMA = """
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


class NotFound(KeyError):
    """No such object, or another one by the same name."""

    def __str__(self) -> str:
        return str(self.args[0])


class Conflict(ValueError):
    """The document was made from an object, or a version of it, that is no longer there."""


class Objects:
    """Objects as dicts. Safe for several processes and threads. Every method raises DeckError where the
    file fails it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, make it if it is new. Raises DeckError where it is of another version."""
        self._database = Database(path, _SCHEMA + event_log.SCHEMA, SCHEMA_VERSION)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[object]:
        """Several changes as one: all of them, or none where an exception leaves the block."""
        return self._database.transaction()

    @property
    def version(self) -> int:
        """The last resourceVersion given out, whoever wrote: cheap to poll for changes."""
        return int(self._database.read("SELECT version FROM counter")[0][0])

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """One object. Raises NotFound."""
        found = self._find(kind, namespace, name)
        if found is None:
            raise NotFound(f"{kind} {namespace}/{name} not found")
        return found

    def list(self, kind: str | None = None, namespace: str | None = None, owner_uid: str | None = None) -> Jsons:
        """The objects that match all that is given, the oldest first."""
        rows = self._database.read(
            "SELECT document FROM objects WHERE kind = coalesce(?1, kind) AND namespace = coalesce(?2, namespace) "
            "AND (?3 IS NULL OR uid IN (SELECT child FROM owners WHERE owner = ?3)) ORDER BY id",
            kind,
            namespace,
            owner_uid,
        )
        return [json.loads(row["document"]) for row in rows]

    def apply(self, manifest: Json) -> tuple[Json, Outcome]:
        """Create an object or replace everything of it but its status.

        A resource of Tapedeck's own is checked, and kept with its defaults filled in. generation rises
        when spec changes. Raises InvalidResource; Conflict where uid or resourceVersion are given and
        differ from what is kept; NotFound where an owner that it names is gone.
        """
        with self._database.transaction() as connection:
            given = manifest.get("metadata")
            metadata = given if isinstance(given, dict) else {}
            old = self._find(manifest.get("kind"), metadata.get("namespace") or "default", metadata.get("name"))
            fresh = admit(manifest, old)
            if old is None:
                return self._create(connection, fresh), "created"
            _refuse_stale(metadata, old)
            return self._replace(connection, fresh, old)

    def patch_spec(self, kind: str, namespace: str, name: str, patch: Json) -> Json:
        """Merge a JSON merge patch (RFC 7386) into spec, labels and annotations, and apply the outcome.

        Raises NotFound, InvalidResource.
        """
        check_patch(f"{kind} {name}", patch)
        with self._database.transaction():
            patched, _ = self.apply(merge_patch(self.get(kind, namespace, name), patch))
        return patched

    def set_status(self, kind: str, namespace: str, name: str, status: Json, *, uid: str | None = None) -> Json | None:
        """Replace the status; None, and nothing written, where it was the same.

        Raises NotFound where the object is gone or, with ``uid``, another one has its name.
        """
        with self._database.transaction() as connection:
            old = self.get(kind, namespace, name)
            if uid is not None and old["metadata"]["uid"] != uid:
                raise NotFound(f"{kind} {namespace}/{name} of uid {uid} not found")
            if old.get("status", {}) == status:
                return None
            return self._write(connection, old | {"status": status})

    def delete(self, kind: str, namespace: str, name: str, *, uid: str | None = None) -> bool:
        """Delete an object and all that it owns, and what those own; False where there is none such."""
        with self._database.transaction() as connection:
            found = self._find(kind, namespace, name)
            if found is None or uid not in (None, found["metadata"]["uid"]):
                return False
            gone = connection.execute(
                "WITH RECURSIVE gone (uid) AS (SELECT ? UNION SELECT child FROM owners JOIN gone ON owner = uid) "
                "SELECT uid FROM gone",
                (found["metadata"]["uid"],),
            ).fetchall()
            for (each,) in gone:
                connection.execute("DELETE FROM owners WHERE owner = ?1 OR child = ?1", (each,))
                connection.execute("DELETE FROM objects WHERE uid = ?", (each,))
            _next_version(connection)
            return True

    def add_event(self, event: Json) -> None:
        """Keep what happened to an object: {uid, kind, name, namespace, type, reason, message, at}.

        The same reason and message of one uid within 10 minutes raise a count instead. The last 5,000 stay.
        """
        with self._database.transaction() as connection:
            event_log.add(connection, event)

    def events(self, uid: str | None = None, limit: int = 100) -> Jsons:
        """The last events, of one object or of all, the oldest of them first; ``first`` and ``count`` say how often."""
        rows = self._database.read(
            "SELECT * FROM events WHERE uid = coalesce(?, uid) ORDER BY id DESC LIMIT ?", uid, limit
        )
        return [{column: row[column] for column in event_log.COLUMNS} for row in reversed(rows)]

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
        written = document | {"metadata": document["metadata"] | {"resourceVersion": str(_next_version(connection))}}
        text = json.dumps(written, separators=(",", ":"), allow_nan=False)
        connection.execute("UPDATE objects SET document = ? WHERE uid = ?", (text, written["metadata"]["uid"]))
        result: Json = json.loads(text)  # the caller's dicts stay the caller's
        return result


def _next_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("UPDATE counter SET version = version + 1 RETURNING version").fetchone()[0])


def _write_owners(connection: sqlite3.Connection, metadata: Json) -> None:
    for owner in metadata.get("ownerReferences", ()):
        if not connection.execute("SELECT 1 FROM objects WHERE uid = ?", (owner["uid"],)).fetchone():
            raise NotFound(f"owner {owner.get('kind')} {owner.get('name')} of {metadata['name']} not found")
        connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (owner["uid"], metadata["uid"]))


def _refuse_stale(given: Json, kept: Json) -> None:
    for field in ("uid", "resourceVersion"):
        if given.get(field) not in (None, "", kept["metadata"][field]):
            raise Conflict(
                f"{kept['kind']} {kept['metadata']['name']}: metadata.{field}: got {given[field]!r}, "
                f"expected {kept['metadata'][field]!r}: it was changed since; get it again and redo the change"
            )
