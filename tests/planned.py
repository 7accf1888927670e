"""Resources as the planner reads them, and the children that it plans."""

from __future__ import annotations

from typing import Any

from tapedeck_crds.kinds import AnyResource
from tapedeck_crds.parse import parse_resource
from tapedeck_operator.plan import Plan


def resource(kind: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any) -> Any:
    """A resource of the kind, named x unless ``metadata`` has another name."""
    document = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "uid": "u-1", "generation": 1, **metadata},
        "spec": spec,
    }
    if status is not None:
        document["status"] = status
    return parse_resource(document)


def after(before: AnyResource, planned: Plan, **spec: Any) -> Any:
    """The resource once the plan's status is written and its spec changed."""
    document = before.model_dump(by_alias=True, exclude_none=True)
    document["status"] = planned.status
    document["spec"] |= spec
    document["metadata"]["generation"] += bool(spec)
    return parse_resource(document)


def job(planned: Plan) -> dict[str, Any]:
    """The Job of a plan."""
    return next(manifest for manifest in planned.apply if manifest["kind"] == "Job")


def ended(manifest: dict[str, Any], how: str) -> dict[str, Any]:
    """A Job that has ended as its condition ``how`` says."""
    return {**manifest, "status": {"conditions": [{"type": how, "status": "True"}]}}
