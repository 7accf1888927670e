"""The newest version of each watched object that may still be needed, in memory."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import is_finished
from tapedeck_operator.plan.names import UID_LABEL
from tapedeck_operator.reconcile.api import ObjectKey, key_of, version_of

Documents = list[Json]  # inside the class, `list` is the method


class ObjectCache:
    """Objects by kind, namespace and name; children also by the uid of the resource that they work for.

    Nothing is planned for a finished resource, so its children are not kept: they are several times as large.
    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._resources: dict[str, ObjectKey] = {}  # uid of a Feed, Replay or Backtest → its key
        self._children: dict[str, dict[ObjectKey, None]] = {}  # the same uid → its children, in order of arrival
        self._dependents: dict[tuple[str, str], set[ObjectKey]] = {}  # (namespace, Replay) → runs that name it
        self._unfinished: dict[tuple[str, str], dict[str, Json]] = {}  # (kind, namespace) → resources by name

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def list(self, kind: str) -> Documents:
        """All objects of a kind."""
        return [*self._objects.get(kind, {}).values()]

    def unfinished(self, kind: str, namespace: str) -> Documents:
        """The unfinished resources of a kind in a namespace: however many are finished, these are few."""
        return [*self._unfinished.get((kind, namespace), {}).values()]

    def owner(self, document: Json) -> ObjectKey | None:
        """The resource whose uid labels a child; None where the cache does not hold it."""
        return self._resources.get(_uid_label(document))

    def pods(self, uid: str) -> Documents:
        """The pods of a resource, oldest first. Creation times are whole seconds: order of arrival breaks ties."""
        found = self.children("Pod", uid)
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def children(self, kind: str, uid: str) -> Documents:
        """The children of a kind that work for a resource, in order of arrival."""
        keys = (key for key in self._children.get(uid, ()) if key.kind == kind)
        return [child for key in keys if (child := self.get(*key)) is not None]

    def dependents(self, namespace: str, replay: str) -> Documents:
        """The Backtests that read a Replay and the Replays that follow its clock."""
        keys = self._dependents.get((namespace, replay), ())
        return [document for key in sorted(keys) if (document := self.get(*key)) is not None]

    def put(self, kind: str, document: Json) -> bool:
        """Store a version; False where the cache holds this one or a newer one, or does not keep the object."""
        key = key_of(kind, document)
        old = self.get(*key)
        if old is not None and version_of(old) >= version_of(document):
            return False
        if kind not in KINDS and self._is_of_finished(document):
            return False
        document["metadata"].pop("managedFields", None)
        self._objects.setdefault(kind, {})[key.namespace, key.name] = document
        if kind in KINDS:
            self._index(key, old, document)
        else:
            if old is not None and _uid_label(old) != _uid_label(document):
                self._forget_child(key, old)
            self._children.setdefault(_uid_label(document), {})[key] = None
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
        else:
            self._forget_child(key, old)
        return old

    def _forget_child(self, key: ObjectKey, child: Json) -> None:
        siblings = self._children.get(_uid_label(child), {})
        siblings.pop(key, None)
        if not siblings:
            self._children.pop(_uid_label(child), None)

    def _is_of_finished(self, child: Json) -> bool:
        owner = self.owner(child)
        resource = self.get(*owner) if owner is not None else None
        return resource is not None and is_finished(resource)

    def _index(self, key: ObjectKey, old: Json | None, document: Json) -> None:
        if old is not None:
            self._unindex(key, old)
        uid = document["metadata"]["uid"]
        self._resources[uid] = key
        if (replay := replay_name(document)) is not None:
            self._dependents.setdefault((key.namespace, replay), set()).add(key)
        if not is_finished(document):
            self._unfinished.setdefault((key.kind, key.namespace), {})[key.name] = document
        else:
            for child in self._children.pop(uid, ()):
                self._objects[child.kind].pop((child.namespace, child.name), None)

    def _unindex(self, key: ObjectKey, old: Json) -> None:
        self._resources.pop(old["metadata"]["uid"], None)
        self._unfinished.get((key.kind, key.namespace), {}).pop(key.name, None)
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
