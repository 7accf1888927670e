"""The compute resources of a pod: those of its resource, and the installation's defaults for the rest."""

from __future__ import annotations

from tapedeck_crds.json import Json
from tapedeck_crds.pod import Resources, parse_quantity

STORAGE = "ephemeral-storage"


def with_defaults(own: Resources | None, defaults: Resources | None) -> Resources | None:
    """Requests and limits by name: the resource's own, else the default.

    A default limit below the resource's own request is raised to it, a default request above its own limit lowered.
    """
    if defaults is None:
        return own
    own = own or Resources()
    requests, limits = own.requests or {}, own.limits or {}
    all_limits = (defaults.limits or {}) | limits
    for name in all_limits.keys() - limits.keys() & requests.keys():
        all_limits[name] = max(all_limits[name], requests[name], key=parse_quantity)
    all_requests = (defaults.requests or {}) | requests
    for name in all_requests.keys() - requests.keys() & all_limits.keys():
        all_requests[name] = min(all_requests[name], all_limits[name], key=parse_quantity)
    return Resources(requests=all_requests or None, limits=all_limits or None)


def scratch_volume(resources: Resources | None) -> Json:
    """The source of a volume for temporary files, which may take all of the pod's ephemeral storage."""
    limit = (resources.limits or {}).get(STORAGE) if resources is not None else None
    return {"emptyDir": {"sizeLimit": limit} if limit is not None else {}}
