"""What the routes of resources share: the API behind them, the namespaces of the gateway, and the right to change."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Path, Query, Request

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.resource import NAMESPACE_PATTERN
from tapedeck_gateway.access.errors import RequestDenied
from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.context import Context
from tapedeck_gateway.resources.errors import ReadOnlyGateway
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

NamespaceName: TypeAlias = Annotated[str, Path(max_length=63, pattern=NAMESPACE_PATTERN)]
Name: TypeAlias = Annotated[str, Path(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
DryRun: TypeAlias = Annotated[bool, Query(alias="dryRun", description="Only check what would be changed.")]
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
JSON_TYPES = frozenset({"application/json"})
PATCH_TYPES = frozenset({"application/merge-patch+json", *JSON_TYPES})


async def _api(context: Context) -> KubernetesApi:
    if context.resources is None:
        raise ReadOnlyGateway(
            "this gateway reads market data and runs only: gateway.control.enabled of the chart is false"
        )
    return context.resources


async def _namespace(namespace: NamespaceName, context: Context) -> str:
    """The namespace of the path, if it is the gateway's."""
    known = context.options.namespaces
    if known and namespace not in known:
        raise RequestDenied(f"namespace: got {namespace!r}, expected one of {', '.join(known)}")
    return namespace


async def _changed_namespace(namespace: Annotated[str, Depends(_namespace)], request: Request) -> str:
    """The namespace of the path, if the holder of the token may change its resources."""
    grant: Grant = request.state.grant
    if not grant.may_control_in(namespace):
        raise RequestDenied(
            f"token: got that of {grant.name!r}, expected one with the right to control in {namespace!r}"
        )
    return namespace


async def _body(request: Request) -> bytes:
    return await request.body()


ResourcesApi: TypeAlias = Annotated[KubernetesApi, Depends(_api)]
ReadNamespace: TypeAlias = Annotated[str, Depends(_namespace)]
ChangedNamespace: TypeAlias = Annotated[str, Depends(_changed_namespace)]
Body: TypeAlias = Annotated[bytes, Depends(_body)]


def require_type(request: Request, expected: frozenset[str]) -> None:
    """Raise InvalidInput for a body of another content type: a page's form cannot send these."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in expected:
        raise InvalidInput(f"content-type: got {given[:80]!r}, expected {' or '.join(sorted(expected))}")


def note_change(request: Request, change: Any) -> None:
    """Say in the audit log what the request asks for."""
    request.state.change = change
