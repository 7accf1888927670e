"""The newest version of each watched object, in memory."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_operator.plan.names import UID_LABEL
from tapedeck_operator.reconcile.api import ObjectKey, key_of, version_of

Documents = list[Json]  # inside the class, `list` is the method


class ObjectCache:
    """Objects by kind, namespace and name; pods also by the uid of the resource that they work for."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._resources: dict[str, ObjectKey] = {}  # uid of a Feed, Replay or Backtest → its key
        self._pods: dict[str, dict[ObjectKey, None]] = {}  # the same uid → its pods, in order of arrival
        self._dependents: dict[tuple[str, str], set[ObjectKey]] = {}  # (namespace, Replay) → runs that name it

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> Documents:
        """All objects of a kind, in one namespace or in all."""
        found = self._objects.get(kind, {})
        if namespace is None:
            return [*found.values()]
        return [document for (where, _), document in found.items() if where == namespace]

    def owner(self, document: Json) -> ObjectKey | None:
        """The resource whose uid labels a child; None where the cache does not hold it."""
        return self._resources.get(_uid_label(document))

    def pods(self, uid: str) -> Documents:
        """The pods of a resource, oldest first. Creation times are whole seconds: order of arrival breaks ties."""
        found = [pod for key in self._pods.get(uid, ()) if (pod := self.get(*key)) is not None]
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def dependents(self, namespace: str, replay: str) -> Documents:
        """The Backtests that read a Replay and the Replays that follow its clock."""
        keys = self._dependents.get((namespace, replay), ())
        return [document for key in sorted(keys) if (document := self.get(*key)) is not None]

    def put(self, kind: str, document: Json) -> bool:
        """Store a version; False where the cache holds this one or a newer one."""
        key = key_of(kind, document)
        old = self.get(*key)
        if old is not None and version_of(old) >= version_of(document):
            return False
        document["metadata"].pop("managedFields", None)
        self._objects.setdefault(kind, {})[key.namespace, key.name] = document
        if kind in KINDS:
            if old is not None:
                self._unindex(key, old)
            self._resources[document["metadata"]["uid"]] = key
            if (replay := replay_name(document)) is not None:
                self._dependents.setdefault((key.namespace, replay), set()).add(key)
        elif kind == "Pod":
            self._pods.setdefault(_uid_label(document), {})[key] = None
        return True

    def remove(self, kind: str, document: Json) -> Json | None:
        """Remove an object and return its last version; None where the cache lacks it or holds another uid."""
        key = key_of(kind, document)
        old = self.get(*key)
        if old is None or old["metadata"]["uid"] != document["metadata"]["uid"]:
            return None
        del self._objects[kind][key.namespace, key.name]
        if kind in KINDS:
            self._unindex(key, old)
        elif kind == "Pod":
            siblings = self._pods.get(_uid_label(old), {})
            siblings.pop(key, None)
            if not siblings:
                self._pods.pop(_uid_label(old), None)
        return old

    def _unindex(self, key: ObjectKey, old: Json) -> None:
        self._resources.pop(old["metadata"]["uid"], None)
        index = (key.namespace, replay_name(old) or "")
        if (dependents := self._dependents.get(index)) is not None:
            dependents.discard(key)
            if not dependents:
                del self._dependents[index]


def replay_name(document: Json) -> str | None:
    """The Replay that a Backtest reads, or whose clock a Replay follows; the document may be invalid otherwise."""
    spec = document.get("spec") or {}
    name: str | None = (spec.get("data", {}).get("replay") or {}).get("name") or (spec.get("clock") or {}).get("follow")
    return name


def _uid_label(document: Json) -> str:
    return str(document["metadata"].get("labels", {}).get(UID_LABEL, ""))
