"""The NetworkPolicy of a workload: its rules, and whether an existing one still has them."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Backtest
from tapedeck_operator.plan import names
from tapedeck_operator.plan.types import Network, Settings


def network_policy(
    resource: AnyResource, settings: Settings, *, ports: tuple[int, ...] = (), part: str = ""
) -> Json | None:
    """The policy of the workload's own pods, or with ``part`` of that part's pods; None if policies are disabled.

    It allows probes and controls in, and the broker, the database, DNS and ``ports`` of external hosts out; those of
    object stores, too, where the workload reads files from one.
    """
    if settings.network is None:
        return None
    if not part and _reads_object_store(resource):
        ports = (*ports, *settings.network.object_store_ports)
    metadata = names.child_metadata(resource)
    del metadata["labels"][names.GENERATION_LABEL]  # a change of the spec leaves the policy unchanged
    if part:
        metadata["name"] += f"-{part}"
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": _selector(resource, part),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": list(settings.network.ingress_from),
                    "ports": [{"protocol": "TCP", "port": settings.http_port}],
                }
            ],
            "egress": [*settings.network.egress, *_external(settings.network, ports)],
        },
    }


def _selector(resource: AnyResource, part: str) -> Json:
    labels = {names.UID_LABEL: resource.metadata.uid}
    if part:
        return {"matchLabels": {**labels, names.PART_LABEL: part}}
    if not isinstance(resource, Backtest) and resource.spec.transforms:
        return {"matchLabels": labels, "matchExpressions": [{"key": names.PART_LABEL, "operator": "DoesNotExist"}]}
    return {"matchLabels": labels}


def _reads_object_store(resource: AnyResource) -> bool:
    if isinstance(resource, Backtest) or resource.spec.source is None or resource.spec.source.files is None:
        return False
    return any(chosen.path.startswith("s3://") for chosen in resource.spec.source.files.sets)


def _external(network: Network, ports: tuple[int, ...]) -> list[Json]:
    to = {"to": list(network.external)} if network.external else {}
    return [{"ports": [{"protocol": "TCP", "port": port} for port in ports], **to}] if ports else []


def contains(observed: Json | None, desired: Json) -> bool:
    """Whether an existing object has all desired fields and values; the server may have added others."""
    return observed is not None and _contains(observed, desired)


def _contains(observed: object, desired: object) -> bool:
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            key in observed and _contains(observed[key], value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(observed, list)
            and len(observed) == len(desired)
            and all(_contains(one, other) for one, other in zip(observed, desired, strict=True))
        )
    return observed == desired
