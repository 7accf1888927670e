"""The plan of a run that is one Job: the Job, its NetworkPolicy and Secret, its status, and its end."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from tapedeck_crds.base import StoreRange
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Feed, Replay
from tapedeck_operator.plan import names, pods, reasons
from tapedeck_operator.plan.conditions import resource_status, status_document, transition_events
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.run_status import RunStatus, job_ended
from tapedeck_operator.plan.transforms import (
    obsolete_transforms,
    status_with_transforms,
    transform_children,
    transform_patches,
)
from tapedeck_operator.plan.types import Observed, Patch, Plan, Settings


def job_plan(
    resource: AnyResource,
    observed: Observed,
    state: RunStatus,
    now_ms: int,
    settings: Settings,
    children: tuple[Json, ...],
    *,
    observed_generation: int | None = None,
    parallelism: int = 1,
) -> Plan:
    """The plan of a run in a given state. ``children`` are applied unless the run is final or, for a Job, suspended."""
    state = status_with_transforms(resource, observed, state, now_ms)
    suspended = is_suspended(resource) and not state.final
    if suspended:
        state = suspended_status(state)
    status = resource_status(resource, state, now_ms, observed_generation=observed_generation, failure=observed.failure)
    patches: tuple[Patch, ...] = ()
    if not state.final:
        patches = job_patches(resource, observed, parallelism) + transform_patches(resource, observed)
    return Plan(
        status=status_document(status),
        apply=() if state.final else tuple(c for c in children if not (suspended and c["kind"] == "Job")),
        patches=patches,
        delete=(
            *(unfinished_job(resource, observed) if state.final else ()),
            *disabled_policy(resource, observed, settings),
            *obsolete_transforms(resource, observed, settings, final=state.final),
        ),
        events=transition_events(resource, status, state.warning or observed.failure is not None),
        requeue_at_ms=expiry_ms(resource, now_ms) if state.final else next_recheck_ms(observed, state),
    )


def job_children(
    resource: AnyResource,
    observed: Observed,
    settings: Settings,
    *,
    extra_env: dict[str, str] | None = None,
    keyed: bool = False,
    completions: int = 1,
    parallelism: int = 1,
) -> tuple[Json, ...]:
    """The children to apply, the Job last. An existing Job is never applied again: its pod template stays frozen."""
    policy = network_policy(resource, settings)
    children = [policy] if policy is not None and not contains(observed.policy, policy) else []
    children += transform_children(resource, observed, settings)
    # Secrets are not watched. A pod that does not start can be a sign that its Secret was deleted: apply it again.
    if keyed and (observed.job is None or any(pod.reason == reasons.NOT_STARTING for pod in observed.pods)):
        children.append(pods.key_secret(resource, settings))
    if observed.job is None:
        children.append(
            pods.run_job(
                resource,
                settings,
                extra_env=extra_env,
                keyed=keyed,
                completions=completions,
                parallelism=parallelism,
            )
        )
    return tuple(children)


def job_patches(resource: AnyResource, observed: Observed, parallelism: int) -> tuple[Patch, ...]:
    """The patch that gives an unfinished Job the desired fields that may change, none if it has them."""
    if observed.job is None or job_ended(observed.job):
        return ()
    desired = {
        "suspend": is_suspended(resource),
        "parallelism": parallelism,
        "activeDeadlineSeconds": resource.spec.active_deadline_seconds,
    }
    spec = {"suspend": False, **observed.job["spec"]}
    changed = {key: value for key, value in desired.items() if spec.get(key) != value}
    return (Patch("Job", names.child_name(resource), changed),) if changed else ()


def unfinished_job(resource: AnyResource, observed: Observed) -> tuple[tuple[str, str], ...]:
    """The Job as an object to delete, if it exists and has not ended."""
    unfinished = observed.job is not None and not job_ended(observed.job)
    return (("Job", names.child_name(resource)),) if unfinished else ()


def disabled_policy(resource: AnyResource, observed: Observed, settings: Settings) -> tuple[tuple[str, str], ...]:
    """The NetworkPolicy as an object to delete, if it exists and the installation has disabled policies."""
    disabled = settings.network is None and observed.policy is not None
    return (("NetworkPolicy", names.child_name(resource)),) if disabled else ()


def is_suspended(resource: AnyResource) -> bool:
    """Whether the spec suspends the resource."""
    return not isinstance(resource, Replay) and resource.spec.suspend


def suspended_status(state: RunStatus) -> RunStatus:
    """The state of a run that its spec suspends."""
    return replace(state, phase="Suspended", reason=reasons.SUSPENDED, message="spec.suspend is true", failing=None)


def waiting_for_feed(store_range: StoreRange | None, observed: Observed) -> RunStatus | None:
    """The state of a run over stored bars that an active Feed is still loading; None if there is no such Feed."""
    if store_range is None or observed.job is not None:
        return None
    for feed in observed.active_feeds:
        if symbols := _symbols_loaded(feed, store_range):
            message = f"Feed {feed.metadata.name} is still loading bars of {', '.join(sorted(symbols))}"
            return RunStatus("Pending", reasons.WAITING_FOR_FEED, message)
    return None


def next_recheck_ms(observed: Observed, state: RunStatus) -> int | None:
    """The earliest time (ms UTC) at which the state changes by itself, or a pod being created counts as failed."""
    times = [state.recheck_at_ms, *(pod.recheck_at_ms for pod in observed.pods + observed.transform_pods)]
    return min((at for at in times if at is not None), default=None)


def expiry_ms(resource: AnyResource, finished_at_ms: int) -> int | None:
    """When a finished resource is deleted (ms UTC); None if its spec has no time to live."""
    ttl: int | None = resource.spec.ttl_seconds_after_finished
    return None if ttl is None else finished_at_ms + ttl * 1000


def _symbols_loaded(feed: Feed, store_range: StoreRange) -> set[str]:
    """The symbols of a range that a Feed loads, if it is one that ends: from files, or a backfill without live data."""
    files = feed.spec.source.files if feed.spec.source is not None else None
    backfill_only = feed.spec.backfill is not None and feed.spec.backfill.only
    if (files.exchange if files is not None else feed.spec.exchange if backfill_only else None) != store_range.exchange:
        return set()
    symbols = set(files.symbols) if files is not None else set(feed.spec.symbols or ())
    # Either side may be a pattern such as */USDT.
    return {s for s in symbols if any(fnmatchcase(s, each) or fnmatchcase(each, s) for each in store_range.symbols)}
