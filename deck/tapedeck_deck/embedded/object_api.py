"""The part of Kubernetes' HTTP API that the gateway asks, over a deck's objects: its paths, answers and errors.

Feeds, Replays and Backtests: list, get, create, patch, delete. ConfigMaps: get, create, patch, delete. The events of an
object, the pods of a resource, and the end of a pod's log.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as InvalidBase64
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, KINDS
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.embedded.admission import merge_patch
from tapedeck_deck.embedded.api_answers import (
    ApiAnswer,
    ApiRequest,
    NoSuchMethod,
    NoSuchPath,
    failure,
    json_body,
    require_method,
)
from tapedeck_deck.embedded.event_log import MAX_EVENTS
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.pods import kubernetes_pod
from tapedeck_deck.embedded.user_objects import CONFIG_MAP, validate_config_map
from tapedeck_operator.plan.names import UID_LABEL
from tapedeck_operator.reconcile.errors import ObjectNotFound

_NAMES = r"(?:/namespaces/(?P<namespace>[a-z0-9-]{1,63}))?/(?P<plural>[a-z]+)(?:/(?P<name>[a-z0-9.-]{1,253}))?"
_RESOURCES = re.compile(rf"/apis/{re.escape(API_VERSION)}{_NAMES}")
_CORE = re.compile(rf"/api/v1{_NAMES}(?P<log>/log)?")
_EVENTS = re.compile(r"/apis/events\.k8s\.io/v1/namespaces/(?P<namespace>[a-z0-9-]{1,63})/events")
_KINDS = {model.plural: kind for kind, model in KINDS.items()}
_LABEL = re.compile(r"(?P<key>[A-Za-z0-9./_-]+)=(?P<value>[A-Za-z0-9._-]*)")
_OBJECT_UID = re.compile(r"regarding\.uid=(?P<uid>[A-Za-z0-9-]{1,64})")
MERGE_PATCH = "application/merge-patch+json"
TAIL_MAX = 10_000  # lines of a log
LOG_BYTES = 1_048_576  # of its end, in which the lines are searched


class _DryRun(TapedeckError):
    """Ends the transaction of a dry run, which undoes its change."""


class ObjectApi:
    """Answers requests from a deck's objects. Safe for several threads."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def answer(self, request: ApiRequest) -> ApiAnswer:
        """The answer; an error is one with a Status object."""
        try:
            return self._routed(request)
        except TapedeckError as error:
            return failure(error)

    def _routed(self, request: ApiRequest) -> ApiAnswer:
        if (match := _RESOURCES.fullmatch(request.path)) and match["plural"] in _KINDS:
            return self._object(request, _KINDS[match["plural"]], match["namespace"], match["name"])
        if match := _EVENTS.fullmatch(request.path):
            require_method(request, "GET")
            return ApiAnswer(200, self._events(match["namespace"], request.query))
        if (
            (match := _CORE.fullmatch(request.path))
            and match["namespace"]
            and match["plural"] in ("pods", "configmaps")
        ):
            if match["plural"] == "configmaps":
                return self._object(request, CONFIG_MAP, match["namespace"], match["name"])
            require_method(request, "GET")
            if match["log"] and match["name"]:
                return ApiAnswer(200, self._log(match["namespace"], match["name"], request.query))
            if match["name"] is None:
                return ApiAnswer(200, self._pods(match["namespace"], request.query))
        raise NoSuchPath(f"path: got {request.path[:200]!r}, expected one of those that a deck serves")

    def _object(self, request: ApiRequest, kind: str, namespace: str | None, name: str | None) -> ApiAnswer:
        if name is None and request.method == "GET" and kind in KINDS:
            return ApiAnswer(200, self._list(kind, namespace, request.query))
        if namespace is None or (name is None) != (request.method == "POST"):
            raise NoSuchMethod(f"method: got {request.method}, expected another one at {request.path[:200]}")
        if name is None:
            with self._change(request) as made:
                made.append(self._objects.create(_manifest(request, kind, namespace)))
            return ApiAnswer(201, made[0])
        if request.method == "GET":
            return ApiAnswer(200, self._objects.get(kind, namespace, name))
        if request.method == "PATCH":
            with self._change(request) as made:
                made.append(self._patched(request, kind, namespace, name))
            return ApiAnswer(200, made[0])
        require_method(request, "DELETE")
        with self._change(request):
            if not self._objects.delete(kind, namespace, name):
                raise ObjectNotFound(f"{kind} {namespace}/{name} not found")
        return ApiAnswer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    @contextmanager
    def _change(self, request: ApiRequest) -> Iterator[list[Json]]:
        """A change of the objects, which a dry run only tries."""
        made: list[Json] = []
        try:
            with self._objects.transaction():
                yield made
                if request.query.get("dryRun") == "All":
                    raise _DryRun
        except _DryRun:
            pass

    def _patched(self, request: ApiRequest, kind: str, namespace: str, name: str) -> Json:
        if request.content_type != MERGE_PATCH:
            raise InvalidInput(f"content-type: got {request.content_type[:80]!r}, expected {MERGE_PATCH}")
        patch = json_body(request.body)
        if kind in KINDS:
            return self._objects.patch_spec(kind, namespace, name, patch)
        foreign = {*patch.keys() - {"data", "metadata"}, *patch.get("metadata", {}).keys() - {"resourceVersion"}}
        if foreign:
            raise InvalidInput(f"{min(foreign)[:80]}: expected a patch of data and metadata.resourceVersion only")
        patched = merge_patch(self._objects.get(kind, namespace, name), patch)
        validate_config_map(patched)
        return self._objects.apply(patched)[0]

    def _list(self, kind: str, namespace: str | None, query: Mapping[str, str]) -> Json:
        """One page, in order of namespaces and names; ``continue`` is where the next begins."""
        found = sorted(self._objects.list(kind, namespace), key=_place)
        if token := query.get("continue"):
            after = _decoded_place(token)
            found = [each for each in found if _place(each) > after]
        limit = _number(query, "limit", len(found) or 1)
        page = found[:limit]
        more = {"continue": _encoded_place(_place(page[-1]))} if len(found) > limit else {}
        metadata = {"resourceVersion": str(self._objects.version), **more}
        return {"apiVersion": API_VERSION, "kind": f"{kind}List", "metadata": metadata, "items": page}

    def _events(self, namespace: str, query: Mapping[str, str]) -> Json:
        match = _OBJECT_UID.fullmatch(query.get("fieldSelector", ""))
        if match is None:
            raise InvalidInput("fieldSelector: expected regarding.uid=<uid>")
        # All of them, without pages: an event that repeats meanwhile would be in none, or in two.
        events = self._objects.events(match["uid"], MAX_EVENTS)
        items = [_event(each) for each in events if each["namespace"] == namespace]
        return {"apiVersion": "events.k8s.io/v1", "kind": "EventList", "metadata": {}, "items": items}

    def _pods(self, namespace: str, query: Mapping[str, str]) -> Json:
        match = _LABEL.fullmatch(query.get("labelSelector", ""))
        if match is None:
            raise InvalidInput("labelSelector: expected key=value")
        key, value = match["key"], match["value"]
        # A resource owns the pods that its uid labels, so that not all pods are read.
        found = self._objects.list_descendants("Pod", value) if key == UID_LABEL else self._objects.list("Pod")
        pods = [
            kubernetes_pod(pod)
            for pod in found
            if pod["metadata"]["namespace"] == namespace and pod["metadata"].get("labels", {}).get(key) == value
        ]
        return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods}

    def _log(self, namespace: str, name: str, query: Mapping[str, str]) -> str:
        path = self._objects.get("Pod", namespace, name).get("status", {}).get("log")
        if path is None:
            return ""
        return last_lines(Path(path), _number(query, "tailLines", TAIL_MAX), _number(query, "limitBytes", LOG_BYTES))


def last_lines(path: Path, lines: int, size: int) -> str:
    """The last whole lines of a file among its last ``size`` bytes; empty where it does not exist."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            begin = max(log.tell() - size, 0)
            log.seek(begin)
            text = log.read(size)
    except FileNotFoundError:
        return ""
    if begin:
        text = text.partition(b"\n")[2]  # the first line may be cut
    return "\n".join(deque(text.decode("utf-8", "replace").splitlines(), maxlen=lines))


def _manifest(request: ApiRequest, kind: str, namespace: str) -> Json:
    """The body as a manifest of this kind and namespace. Raises InvalidInput."""
    manifest = json_body(request.body)
    metadata = manifest.get("metadata")
    if manifest.get("kind") != kind or not isinstance(metadata, dict):
        raise InvalidInput(f"body: got kind {str(manifest.get('kind'))[:80]!r}, expected a {kind} with metadata")
    if metadata.get("namespace", namespace) != namespace:
        raise InvalidInput(f"metadata.namespace: got {str(metadata['namespace'])[:80]!r}, expected {namespace!r}")
    manifest = manifest | {"metadata": metadata | {"namespace": namespace}}
    if kind == CONFIG_MAP:
        validate_config_map(manifest)
    else:
        parse_resource(manifest)
    return manifest


def _number(query: Mapping[str, str], name: str, most: int) -> int:
    text = query.get(name, str(most))
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise InvalidInput(f"{name}: got {text[:20]!r}, expected a number from 1")
    return min(int(text), most)


def _place(document: Json) -> tuple[str, str]:
    return document["metadata"]["namespace"], document["metadata"]["name"]


def _encoded_place(place: tuple[str, str]) -> str:
    return urlsafe_b64encode("/".join(place).encode()).decode()


def _decoded_place(token: str) -> tuple[str, str]:
    try:
        namespace, name = urlsafe_b64decode(token.encode()).decode().split("/")
    except (InvalidBase64, ValueError):
        raise InvalidInput(f"continue: got {token[:80]!r}, expected that of the page before") from None
    return namespace, name


def _event(event: Json) -> Json:
    """An event of the deck as `events.k8s.io/v1` has it."""
    repeats = {"series": {"count": event["count"], "lastObservedTime": event["at"]}} if event["count"] > 1 else {}
    regarding = {key: event[key] for key in ("kind", "namespace", "name", "uid")}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{event['name']}.{event['id']:016x}", "namespace": event["namespace"]},
        "eventTime": event["first"],
        "type": event["type"],
        "reason": event["reason"],
        "note": event["message"],
        "regarding": regarding | {"apiVersion": API_VERSION},
        **repeats,
    }
