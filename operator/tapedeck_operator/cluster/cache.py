"""What the watches told, by kind, namespace and name. Reading it asks nobody."""

from __future__ import annotations

from typing import NamedTuple

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_operator.plan.names import UID_LABEL


class Key(NamedTuple):
    """Names one object."""

    kind: str
    namespace: str
    name: str


class Cache:
    """The newest known version of each object."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._resources: dict[str, Key] = {}  # uid of a Feed, Replay or Backtest → its key
        self._pods: dict[str, set[Key]] = {}  # the same uid → its pods

    def get(self, key: Key) -> Json | None:
        return self._objects.get(key.kind, {}).get((key.namespace, key.name))

    def all(self, kind: str) -> list[Json]:
        return list(self._objects.get(kind, {}).values())

    def owner(self, document: Json) -> Key | None:
        """The resource that a child is labelled for; None where there is none such."""
        return self._resources.get(labelled_uid(document))

    def pods(self, uid: str) -> list[Json]:
        """The pods of a resource, the oldest first."""
        found = [pod for key in self._pods.get(uid, ()) if (pod := self.get(key)) is not None]
        return sorted(found, key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]))

    def put(self, kind: str, document: Json) -> bool:
        """Keep a version; False where it is known, or older than what is known."""
        key = key_of(kind, document)
        old = self.get(key)
        if old is not None and version(old) >= version(document):
            return False
        document["metadata"].pop("managedFields", None)
        self._objects.setdefault(kind, {})[key.namespace, key.name] = document
        if kind in KINDS:
            if old is not None:
                self._resources.pop(old["metadata"]["uid"], None)
            self._resources[document["metadata"]["uid"]] = key
        elif kind == "Pod":
            self._pods.setdefault(labelled_uid(document), set()).add(key)
        return True

    def drop(self, kind: str, document: Json) -> bool:
        """Forget an object, unless another one has its name by now."""
        key = key_of(kind, document)
        old = self.get(key)
        if old is None or old["metadata"]["uid"] != document["metadata"]["uid"]:
            return False
        del self._objects[kind][key.namespace, key.name]
        self._resources.pop(old["metadata"]["uid"], None)
        if kind == "Pod":
            mine = self._pods.get(labelled_uid(old), set())
            mine.discard(key)
            if not mine:
                self._pods.pop(labelled_uid(old), None)
        return True


def key_of(kind: str, document: Json) -> Key:
    metadata = document["metadata"]
    return Key(kind, metadata.get("namespace", ""), metadata["name"])


def version(document: Json) -> int:
    """The resourceVersion: it grows with each change."""
    return int(document["metadata"]["resourceVersion"])


def labelled_uid(document: Json) -> str:
    return str(document["metadata"].get("labels", {}).get(UID_LABEL, ""))
