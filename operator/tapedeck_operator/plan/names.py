"""Names, labels and owner references of children. They depend on the resource alone, so a retry finds the same."""

from __future__ import annotations

import hmac
from hashlib import sha256

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, GROUP, AnyResource, Backtest, Replay

UID_LABEL = f"{GROUP}/uid"
KIND_LABEL = f"{GROUP}/kind"
PART_LABEL = f"{GROUP}/part"  # of the transforms' pods; a workload's own pods lack it
SHARD_LABEL = f"{GROUP}/shard"  # of a pod of a Deployment, which has no job-completion-index
GENERATION_LABEL = f"{GROUP}/generation"
APPLIED_FROM = f"{GROUP}/applied-from"


def child_name(resource: AnyResource) -> str:
    """``<kind>-<name>-<8 hex of sha256(uid)>``: at most 58 characters, so that a pod's suffix fits in 63."""
    tag = sha256(resource.metadata.uid.encode()).hexdigest()[:8]
    return f"{resource.kind.lower()}-{resource.metadata.name}-{tag}"


def labels(resource: AnyResource) -> dict[str, str]:
    """The labels of every child."""
    return {
        "app.kubernetes.io/name": resource.kind.lower(),
        "app.kubernetes.io/instance": resource.metadata.name,
        "app.kubernetes.io/component": "workload",
        "app.kubernetes.io/part-of": "tapedeck",
        "app.kubernetes.io/managed-by": "tapedeck-operator",
        KIND_LABEL: resource.kind,
        UID_LABEL: resource.metadata.uid,
    }


def child_metadata(resource: AnyResource) -> Json:
    """The metadata of a child: name, labels and the owner reference."""
    return {
        "name": child_name(resource),
        "namespace": resource.metadata.namespace,
        "labels": {**labels(resource), GENERATION_LABEL: str(resource.metadata.generation)},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": resource.kind,
                "name": resource.metadata.name,
                "uid": resource.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def referenced_replay(resource: AnyResource) -> str | None:
    """The name of the Replay that a Backtest reads, or whose clock a Replay follows; None if there is none."""
    if isinstance(resource, Backtest):
        return resource.spec.data.replay.name if resource.spec.data.replay is not None else None
    if isinstance(resource, Replay):
        return resource.spec.clock.follow if resource.spec.clock is not None else None
    return None


def control_key(operator_key: bytes, uid: str) -> str:
    """The key that signs controls to a resource's pods: hex HMAC-SHA256 of its uid under the operator's key."""
    return hmac.new(operator_key, uid.encode(), sha256).hexdigest()
