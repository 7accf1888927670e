"""Calls of the API server: few verbs, each with a time limit, each counted, each failure of a known kind."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from tapedeck_crds.json import Json
from tapedeck_operator.cluster.metrics import API_CALLS

FIELD_MANAGER = "tapedeck-operator"
TIMEOUT_SECONDS = 15.0
LIST_TIMEOUT_SECONDS = 60.0

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


class ApiError(Exception):
    """The API server did not do it. ``status`` is HTTP's, 0 where it did not answer."""

    def __init__(self, status: int, verb: str, resource: str, where: str, message: str) -> None:
        self.status, self.verb, self.resource, self.message = status, verb, resource, message
        super().__init__(f"{verb} {resource} {where}: {status} {message}")


class Gone(ApiError):
    """There is no such object, or its namespace is being deleted."""


class Conflict(ApiError):
    """The object is there already, or is not as the call expected it."""


class Forbidden(ApiError):
    """The operator lacks a right, or a quota or policy is against it."""


class Invalid(ApiError):
    """The API server does not take the document."""


class Unavailable(ApiError):
    """No answer, or none that says anything: worth trying again."""


class Api:
    """A connection to the API server."""

    def __init__(self, configuration: Configuration) -> None:
        self._client = ApiClient(configuration)
        self._configuration = configuration

    @classmethod
    async def connect(cls) -> Api:
        """As the pod's service account, or as $KUBECONFIG says. Raises ConfigException where there is neither."""
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException:
            await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(configuration)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: str, namespace: str, name: str) -> Json:
        """One object. Raises Gone."""
        return await self._call("get", kind, namespace, name)

    async def list(self, kind: str, namespace: str, selector: str) -> Json:
        """The list of a namespace, or of all where it is empty; items as the server's cache holds them."""
        params = {"resourceVersion": "0", "labelSelector": selector}
        return await self._call("list", kind, namespace, params=params, limit=LIST_TIMEOUT_SECONDS)

    async def create(self, document: Json) -> Json:
        """Raises Conflict where there is one of the name."""
        namespace = document["metadata"]["namespace"]
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("create", document["kind"], namespace, body=document, params=params)

    async def apply(self, document: Json) -> Json:
        """Server-side apply: made, or brought to what the document says. Fields of others stay."""
        metadata = document["metadata"]
        return await self._call(
            "patch",
            document["kind"],
            metadata["namespace"],
            metadata["name"],
            body=document,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        )

    async def patch(self, kind: str, namespace: str, name: str, body: Json, subresource: str = "") -> Json:
        """JSON merge patch. A resourceVersion or uid in its metadata must hold: raises Conflict otherwise."""
        return await self._call(
            "patch",
            kind,
            namespace,
            name,
            subresource=subresource,
            body=body,
            content_type="application/merge-patch+json",
            params={"fieldManager": FIELD_MANAGER},
        )

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object of this uid and, in the background, what it owns. Nothing where it is gone."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call("delete", kind, namespace, name, body=options)
        except (Gone, Conflict):
            return

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
        where = "/".join(part for part in (namespace, name) if part)
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
                answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                    method,
                    f"{self._configuration.host}{path}?{urlencode(params or {})}",
                    headers=headers,
                    body=body,
                    _request_timeout=limit,
                )
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            API_CALLS.labels(verb, resource, "none").inc()
            raise Unavailable(0, verb, resource, where, f"{type(error).__name__}: {error}") from None
        API_CALLS.labels(verb, resource, str(answer.status)).inc()
        if answer.status >= 400:
            raise _error(answer.status, verb, resource, where, text)
        document: Json = json.loads(text)
        return document


def _error(status: int, verb: str, resource: str, where: str, text: bytes) -> ApiError:
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    message = said.get("message") or text[:300].decode(errors="replace")
    causes = [cause.get("reason") for cause in (said.get("details") or {}).get("causes", [])]
    kind: type[ApiError] = Unavailable
    if status == 404 or "NamespaceTerminating" in causes:
        kind = Gone
    elif status == 403:
        kind = Forbidden
    elif status == 409:
        kind = Conflict
    elif 400 <= status < 500 and status not in (401, 408, 429):
        kind = Invalid
    return kind(status, verb, resource, where, message)
