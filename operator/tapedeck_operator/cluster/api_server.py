"""The API server as a ResourceApi: each call has a time limit, is counted, and fails with a specific error."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, AnyResource
from tapedeck_operator.cluster.metrics import API_CALLS
from tapedeck_operator.plan import Event
from tapedeck_operator.reconcile.api import ObjectKey
from tapedeck_operator.reconcile.errors import (
    AccessDenied,
    ApiUnavailable,
    ManifestRejected,
    ObjectConflict,
    ObjectExists,
    ObjectNotFound,
    ResourceApiError,
)

FIELD_MANAGER = "tapedeck-operator"
CONTROLLER = "tapedeck.dev/operator"
TIMEOUT_SECONDS = 15.0
LIST_TIMEOUT_SECONDS = 60.0
EVENT_NOTE_MAX = 1024
ANSWER_SHOWN = 300  # bytes of an answer that is no object of the API

# Kind → (path of its API, plural).
PATHS: dict[str, tuple[str, str]] = {
    "Feed": ("/apis/tapedeck.dev/v1alpha1", "feeds"),
    "Replay": ("/apis/tapedeck.dev/v1alpha1", "replays"),
    "Backtest": ("/apis/tapedeck.dev/v1alpha1", "backtests"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Pod": ("/api/v1", "pods"),
    "Secret": ("/api/v1", "secrets"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}


class ApiServer:
    """A connection to the API server. ``instance`` names this process in the events that it writes."""

    def __init__(self, configuration: Configuration, instance: str) -> None:
        self._client = ApiClient(configuration)
        self._configuration = configuration
        self._instance = instance

    @classmethod
    async def connect(cls, instance: str) -> ApiServer:
        """Connect as the pod's service account, else as $KUBECONFIG says. Raises ConfigException without either."""
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException:
            await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(configuration, instance)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list(self, kind: str, namespace: str, selector: str) -> tuple[list[Json], int]:
        """The objects of a namespace, or of all if it is empty, from the server's cache, and its resourceVersion."""
        params = {"resourceVersion": "0", "labelSelector": selector}
        found = await self._call("list", kind, namespace, params=params, limit=LIST_TIMEOUT_SECONDS)
        items = [{**item, "kind": kind, "apiVersion": found["apiVersion"]} for item in found["items"]]
        return items, int(found["metadata"]["resourceVersion"])

    async def get(self, key: ObjectKey) -> Json:
        return await self._call("get", *key)

    async def create(self, manifest: Json) -> Json:
        namespace = manifest["metadata"]["namespace"]
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("create", manifest["kind"], namespace, body=manifest, params=params)

    async def apply(self, manifest: Json) -> Json:
        """Server-side apply: fields that other managers set stay."""
        metadata = manifest["metadata"]
        return await self._call(
            "patch",
            manifest["kind"],
            metadata["namespace"],
            metadata["name"],
            body=manifest,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        )

    async def patch_spec(self, key: ObjectKey, spec: Json, resource_version: str) -> Json:
        return await self._patch(key, {"metadata": {"resourceVersion": resource_version}, "spec": spec})

    async def delete(self, key: ObjectKey, uid: str) -> None:
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call("delete", *key, body=options)
        except (ObjectNotFound, ObjectConflict):
            return

    async def write_status(self, document: Json, status: Json) -> Json:
        """Patch the fields of the status that differ."""
        metadata = document["metadata"]
        difference = merge_diff(document.get("status", {}), status)
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": difference}
        return await self._patch(ObjectKey(document["kind"], metadata["namespace"], metadata["name"]), body, "status")

    async def write_event(self, resource: AnyResource, event: Event) -> None:
        metadata = resource.metadata
        manifest = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name}.{time.time_ns():x}", "namespace": metadata.namespace},
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "type": event.type,
            "reason": event.reason,
            "action": "Reconcile",
            "note": event.message.encode()[:EVENT_NOTE_MAX].decode(errors="ignore"),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": resource.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
        }
        await self.create(manifest)

    async def _patch(self, key: ObjectKey, body: Json, subresource: str = "") -> Json:
        """JSON merge patch. Raises ObjectConflict where a resourceVersion in the body is outdated."""
        return await self._call(
            "patch",
            *key,
            subresource=subresource,
            body=body,
            content_type="application/merge-patch+json",
            params={"fieldManager": FIELD_MANAGER},
        )

    async def _call(
        self,
        verb: str,
        kind: str,
        namespace: str,
        name: str = "",
        *,
        subresource: str = "",
        body: Json | None = None,
        content_type: str = "application/json",
        params: dict[str, str] | None = None,
        limit: float = TIMEOUT_SECONDS,
    ) -> Json:
        base, plural = PATHS[kind]
        resource = f"{plural}/{subresource}" if subresource else plural
        target = "/".join(part for part in (namespace, name) if part)
        path = "/".join(
            part for part in (base, f"namespaces/{namespace}" if namespace else "", plural, name, subresource) if part
        )
        method = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}[verb]
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            async with asyncio.timeout(limit):
                token = await self._configuration.get_api_key_with_prefix("BearerToken")
                if token:
                    headers["Authorization"] = token
                response = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                    method,
                    f"{self._configuration.host}{path}?{urlencode(params or {})}",
                    headers=headers,
                    body=body,
                    _request_timeout=limit,
                )
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            API_CALLS.labels(verb, resource, "none").inc()
            detail = f"{type(error).__name__}: {error}"
            message = f"{verb} {resource} {target}: no answer: {detail}"
            raise ApiUnavailable(message, verb=verb, resource=resource, detail=detail) from None
        API_CALLS.labels(verb, resource, str(response.status)).inc()
        if response.status >= 400:
            raise _error_of(response.status, verb, resource, target, text)
        document = _document(text)
        if document is None:  # a proxy's page, or an answer that was cut
            detail = text[:ANSWER_SHOWN].decode(errors="replace")
            message = f"{verb} {resource} {target}: got {detail!r}, expected an object of the API"
            raise ApiUnavailable(message, verb=verb, resource=resource, detail=detail)
        return document


def merge_diff(old: Json, new: Json) -> Json:
    """The JSON merge patch (RFC 7386) from one document to another."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_diff(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def _document(text: bytes) -> Json | None:
    """The API object in an answer; None for anything else."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("metadata"), dict) else None


def _error_of(status: int, verb: str, resource: str, target: str, text: bytes) -> ResourceApiError:
    answer = _document(text) or {}
    detail = answer.get("message") or text[:ANSWER_SHOWN].decode(errors="replace")
    causes = [cause.get("reason") for cause in (answer.get("details") or {}).get("causes", [])]
    message = f"{verb} {resource} {target}: {status} {detail}"
    return _error_type(status, answer.get("reason"), causes)(message, verb=verb, resource=resource, detail=detail)


def _error_type(status: int, reason: str | None, causes: list[str]) -> type[ResourceApiError]:
    if status == 404 or "NamespaceTerminating" in causes:
        return ObjectNotFound
    if status == 403:
        return AccessDenied
    if status == 409:  # the API server always gives its reason; a proxy in front of it does not
        return {"AlreadyExists": ObjectExists, "Conflict": ObjectConflict}.get(reason or "", ApiUnavailable)
    if 400 <= status < 500 and status not in (401, 408, 429):
        return ManifestRejected
    return ApiUnavailable
