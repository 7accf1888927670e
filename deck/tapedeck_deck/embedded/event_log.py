"""The events of resources, in a table of bounded length."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from tapedeck_crds.json import Json

MAX_EVENTS = 5_000
REPEAT_WITHIN = timedelta(minutes=10)
SCHEMA = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('Normal', 'Warning')), reason TEXT NOT NULL, message TEXT NOT NULL,
  first TEXT NOT NULL, at TEXT NOT NULL, count INTEGER NOT NULL
);
CREATE INDEX events_of ON events (uid, reason, message)
"""
COLUMNS = ("id", "uid", "kind", "namespace", "name", "type", "reason", "message", "first", "at", "count")


def now() -> str:
    """The current time in the format of Kubernetes: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def add(connection: sqlite3.Connection, event: Json) -> None:
    """Insert an event. One that repeats within 10 minutes moves to the end, with its count raised."""
    row: Json = {"namespace": "default", "type": "Normal", "message": "", "at": now()} | event
    row |= {"first": row["at"], "count": 1}
    before = connection.execute(
        "SELECT id, first, at, count FROM events WHERE uid = ? AND reason = ? AND message = ? ORDER BY id DESC LIMIT 1",
        (row["uid"], row["reason"], row["message"]),
    ).fetchone()
    if before and datetime.fromisoformat(row["at"]) - datetime.fromisoformat(before["at"]) <= REPEAT_WITHIN:
        connection.execute("DELETE FROM events WHERE id = ?", (before["id"],))
        row |= {"first": before["first"], "count": before["count"] + 1}
    added = connection.execute(
        "INSERT INTO events (uid, kind, namespace, name, type, reason, message, first, at, count) "
        "VALUES (:uid, :kind, :namespace, :name, :type, :reason, :message, :first, :at, :count)",
        row,
    ).lastrowid
    connection.execute("DELETE FROM events WHERE id <= ?", ((added or 0) - MAX_EVENTS,))
