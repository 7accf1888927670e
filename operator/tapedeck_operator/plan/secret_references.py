"""The Secrets that a resource names. One of Tapedeck's own is refused: the resource fails and gets no pods."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.kinds import AnyResource, Backtest, Feed
from tapedeck_crds.secrets import is_own_secret
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.feed_live import live_stop
from tapedeck_operator.plan.job_plan import job_plan
from tapedeck_operator.plan.run_status import RunStatus
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_refused(resource: AnyResource, observed: Observed, now_ms: int, settings: Settings) -> Plan | None:
    """The plan of a resource that names a Secret of Tapedeck's own; None if it names none.

    The types reject the names that are Tapedeck's by their form; the installation knows the others.
    """
    refused = [
        f"{field}: got {name}, one of Tapedeck's own Secrets; expected one of yours"
        for field, name in _references(resource).items()
        if name in settings.own_secrets or is_own_secret(name)
    ]
    if not refused:
        return None
    state = RunStatus("Failed", reasons.OWN_SECRET, "; ".join(refused), warning=True)
    planned = job_plan(resource, observed, state, now_ms, settings, ())
    if not isinstance(resource, Feed):
        return planned
    return replace(planned, delete=planned.delete + live_stop(resource, observed).delete)


def _references(resource: AnyResource) -> dict[str, str]:
    """Field → the name of the Secret that it has."""
    if isinstance(resource, Backtest):
        return {}
    files = resource.spec.source.files if resource.spec.source is not None else None
    found = {"source.files.credentialsSecret": files.credentials_secret if files is not None else None}
    if isinstance(resource, Feed):
        found["apiKeySecret"] = resource.spec.api_key_secret
    return {field: name for field, name in found.items() if name is not None}
