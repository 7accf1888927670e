"""Building a run's NetworkPolicy: who reaches its pods, and whom they reach."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Resource
from tapedeck_operator.plan import names
from tapedeck_operator.plan.types import Settings


def network_policy(
    resource: Resource, settings: Settings, *, reaches: tuple[int, ...] = (), part: str = ""
) -> Json | None:
    """Probes and controls in, broker, database and names out, and ``reaches``: ports anywhere.

    It is for the run's own pods, or for those of a ``part`` beside them. None where policies are off.
    """
    if settings.network is None:
        return None
    metadata = names.child_metadata(resource)
    del metadata["labels"][names.GENERATION_LABEL]  # the policy does not follow the spec
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
            "egress": [*settings.network.egress, *_anywhere(reaches)],
        },
    }


def _selector(resource: Resource, part: str) -> Json:
    labels = {names.UID_LABEL: resource.metadata.uid}
    if part:
        return {"matchLabels": {**labels, names.PART_LABEL: part}}
    if getattr(resource.spec, "transforms", None):
        return {"matchLabels": labels, "matchExpressions": [{"key": names.PART_LABEL, "operator": "DoesNotExist"}]}
    return {"matchLabels": labels}


def _anywhere(ports: tuple[int, ...]) -> list[Json]:
    return [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}] if ports else []
