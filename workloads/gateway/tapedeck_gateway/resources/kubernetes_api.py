"""The calls of Kubernetes' API that the gateway makes. Each has a time limit and fails with an error of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from tapedeck_crds.errors import Unavailable
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, GROUP
from tapedeck_gateway.resources.errors import refusal

RESOURCES = f"/apis/{API_VERSION}"
CORE = "/api/v1"
EVENTS = "/apis/events.k8s.io/v1"
UID_LABEL = f"{GROUP}/uid"  # of the pods of a resource
MERGE_PATCH = "application/merge-patch+json"
EVENTS_MAX = 20_000  # of a resource that are read
_EVENTS_OF_PAGE = 500
LOG_BYTES = 262_144  # of a pod's log
DRY_RUN = {"dryRun": "All"}


class ResourcePage(NamedTuple):
    """Some resources of a list, and where the others begin; empty after the last."""

    items: list[Json]
    more: str


class KubernetesApi:
    """An API of resources. Methods block, may be called by several threads, and raise TapedeckErrors of ``errors``."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def page(self, plural: str, namespace: str, limit: int, more: str) -> ResourcePage:
        """At most ``limit`` resources of a namespace, or of all if it is empty, from the place ``more`` on."""
        query = {"limit": str(limit), **({"continue": more} if more else {})}
        found = self._json("GET", _path(plural, namespace), query)
        items = [{"apiVersion": API_VERSION, "kind": _singular(found), **item} for item in found["items"]]
        return ResourcePage(items, found["metadata"].get("continue") or "")

    def get(self, plural: str, namespace: str, name: str) -> Json:
        """One resource."""
        return self._json("GET", _path(plural, namespace, name))

    def create(self, plural: str, manifest: Json, *, dry_run: bool) -> Json:
        """Create a resource; a dry run only validates it and says what would be stored."""
        query = {"fieldValidation": "Strict", **(DRY_RUN if dry_run else {})}
        return self._json("POST", _path(plural, manifest["metadata"]["namespace"]), query, manifest)

    def patch(self, plural: str, namespace: str, name: str, patch: Json, *, dry_run: bool = False) -> Json:
        """Apply a JSON merge patch (RFC 7386); returns the resource."""
        query = {"fieldValidation": "Strict", **(DRY_RUN if dry_run else {})}
        return self._json("PATCH", _path(plural, namespace, name), query, patch)

    def delete(self, plural: str, namespace: str, name: str, *, dry_run: bool) -> None:
        """Delete a resource and, in the background, its children."""
        query = {"propagationPolicy": "Background", **(DRY_RUN if dry_run else {})}
        self._json("DELETE", _path(plural, namespace, name), query)

    def events(self, namespace: str, uid: str) -> list[Json]:
        """All events of an object, as events.k8s.io/v1 has them: by name, which says nothing of their times.

        Raises Unavailable where there are more than EVENTS_MAX.
        """
        items: list[Json] = []
        query = {"fieldSelector": f"regarding.uid={uid}", "limit": str(_EVENTS_OF_PAGE)}
        while True:
            found = self._json("GET", f"{EVENTS}/namespaces/{namespace}/events", query)
            items += found["items"]
            more = (found.get("metadata") or {}).get("continue") or ""
            if not more:
                return items
            if len(items) >= EVENTS_MAX:
                raise Unavailable(f"events: got more than {EVENTS_MAX:,} of this resource, which kubectl can list")
            query["continue"] = more

    def pods(self, namespace: str, uid: str) -> list[Json]:
        """The pods of a resource."""
        query = {"labelSelector": f"{UID_LABEL}={uid}"}
        items: list[Json] = self._json("GET", f"{CORE}/namespaces/{namespace}/pods", query)["items"]
        return items

    def log(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of a pod's log; empty before it has one."""
        query = {"tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
        answer = self._send("GET", f"{CORE}/namespaces/{namespace}/pods/{pod}/log", query)
        if answer.status_code in (400, 404):  # the container has not started, or the pod is gone
            return ""
        _check(answer)
        return answer.text

    def config_map(self, namespace: str, name: str) -> Json:
        """A ConfigMap."""
        return self._json("GET", _config_maps(namespace, name))

    def create_config_map(self, manifest: Json) -> Json:
        """Create a ConfigMap."""
        return self._json("POST", _config_maps(manifest["metadata"]["namespace"]), {}, manifest)

    def patch_config_map(self, namespace: str, name: str, patch: Json) -> Json:
        """Change a ConfigMap by a JSON merge patch."""
        return self._json("PATCH", _config_maps(namespace, name), {}, patch)

    def delete_config_map(self, namespace: str, name: str, preconditions: Mapping[str, str]) -> None:
        """Delete a ConfigMap of this uid and resourceVersion."""
        self._json("DELETE", _config_maps(namespace, name), body={"preconditions": dict(preconditions)})

    def _json(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Json:
        answer = self._send(method, path, query or {}, body)
        _check(answer)
        found = _document(answer)
        if found is None:
            raise Unavailable(f"the API of resources answered {answer.text[:200]!r}, expected an object")
        return found

    def _send(self, method: str, path: str, query: Mapping[str, str], body: Json | None = None) -> httpx.Response:
        headers = {} if body is None else {"content-type": MERGE_PATCH if method == "PATCH" else "application/json"}
        content = None if body is None else json.dumps(body, allow_nan=False)
        try:
            return self._client.request(method, path, params=dict(query), headers=headers, content=content)
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable("the API of resources does not answer; try again") from error


def _path(plural: str, namespace: str, name: str = "") -> str:
    path = f"{RESOURCES}/namespaces/{namespace}/{plural}" if namespace else f"{RESOURCES}/{plural}"
    return f"{path}/{name}" if name else path


def _config_maps(namespace: str, name: str = "") -> str:
    path = f"{CORE}/namespaces/{namespace}/configmaps"
    return f"{path}/{name}" if name else path


def _singular(found: Json) -> str:
    return str(found["kind"]).removesuffix("List")


def _check(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise refusal(answer.status_code, _document(answer) or {"message": answer.text[:200]})


def _document(answer: httpx.Response) -> Json | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
