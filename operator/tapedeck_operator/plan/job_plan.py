"""What every kind has in common: one Job, its policy, its status, and what ails them."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from tapedeck_crds.base import StoreRange
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed, Resource
from tapedeck_crds.report import Report
from tapedeck_operator.plan import names, pods
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.reasons import NOT_STARTING
from tapedeck_operator.plan.status import Verdict, as_json, compose, job_ended, transitions
from tapedeck_operator.plan.transforms import (
    transform_children,
    transform_patches,
    unwanted_transforms,
    with_transforms,
)
from tapedeck_operator.plan.types import Observed, Patch, Plan, Settings


def run_plan(
    resource: Resource,
    observed: Observed,
    verdict: Verdict,
    now_ms: int,
    settings: Settings,
    children: tuple[Json, ...],
    *,
    observed_generation: int | None = None,
    parallelism: int = 1,
) -> Plan:
    """The plan of a run: its status by the verdict, its children while it is not over."""
    verdict = with_transforms(resource, observed, verdict, now_ms)
    over = verdict.phase in ("Complete", "Failed")
    suspended = getattr(resource.spec, "suspend", False) and not over
    if suspended:
        verdict = replace(verdict, phase="Suspended", reason="Suspended", message="suspended by its spec")
    status = compose(resource, verdict, now_ms, observed_generation=observed_generation, refusal=observed.failure)
    return Plan(
        status=as_json(status),
        apply=() if over else tuple(c for c in children if not (suspended and c["kind"] == "Job")),
        patches=()
        if over
        else _corrections(resource, observed, suspended, parallelism) + transform_patches(resource, observed),
        delete=_unwanted(resource, observed, settings, over) + unwanted_transforms(resource, observed, settings, over),
        events=transitions(resource, status, verdict.trouble or observed.failure is not None),
        requeue_at_ms=end_of_life(resource, now_ms) if over else next_look(observed),
    )


def job_and_policy(
    resource: Resource,
    observed: Observed,
    settings: Settings,
    *,
    extra_env: dict[str, str] | None = None,
    controlled: bool = False,
    completions: int = 1,
    parallelism: int = 1,
) -> tuple[Json, ...]:
    """What is to be applied, the Job last. There only where it is missing: a pod template stays as first applied."""
    policy = network_policy(resource, settings)
    children = [policy] if policy is not None and not contains(observed.policy, policy) else []
    children += transform_children(resource, observed, settings)
    # Nobody watches Secrets: a pod that can't be made is the first to miss one.
    if controlled and (observed.job is None or any(pod.reason == NOT_STARTING for pod in observed.pods)):
        children.append(pods.control_secret(resource, settings))
    if observed.job is None:
        children.append(
            pods.run_job(
                resource,
                settings,
                extra_env=extra_env,
                controlled=controlled,
                completions=completions,
                parallelism=parallelism,
            )
        )
    return tuple(children)


def newest_report(observed: Observed) -> Report | None:
    """The newest word of the run's pods; that of an earlier pod while its successor is still starting."""
    return next((pod.report for pod in reversed(observed.pods) if pod.report is not None), None)


def waiting_for_feed(wanted: StoreRange | None, observed: Observed) -> Verdict | None:
    """A run over stored bars begins when the Feeds that bring some of them are through."""
    if wanted is None or observed.job is not None:
        return None
    for feed in observed.active_feeds:
        if brought := _brought(feed, wanted):
            names_of = ", ".join(sorted(brought))
            return Verdict("Pending", "WaitingForFeed", f"Feed {feed.metadata.name} still brings bars of {names_of}")
    return None


def _brought(feed: Feed, wanted: StoreRange) -> set[str]:
    """The symbols of a Feed that ends, out of files or of a past alone, which a run wants."""
    files = feed.spec.source.files if feed.spec.source is not None else None
    past = feed.spec.backfill is not None and feed.spec.backfill.only
    if (files.exchange if files is not None else feed.spec.exchange if past else None) != wanted.exchange:
        return set()
    symbols = {chosen.symbol for chosen in files.sets} if files is not None else set(feed.spec.symbols or ())
    # Either may be a pattern.
    return {s for s in symbols if any(fnmatchcase(s, each) or fnmatchcase(each, s) for each in wanted.symbols)}


def next_look(observed: Observed) -> int | None:
    """When there is something to say of a run's pods though nothing tells of them by then."""
    return min((pod.recheck_at_ms for pod in observed.pods if pod.recheck_at_ms is not None), default=None)


def end_of_life(resource: Resource, now_ms: int) -> int | None:
    """When a run that is over is to be deleted; None where it stays."""
    ttl: int | None = resource.spec.ttl_seconds_after_finished
    return None if ttl is None else now_ms + ttl * 1000


def _corrections(resource: Resource, observed: Observed, suspended: bool, parallelism: int) -> tuple[Patch, ...]:
    """What someone else turned, or a suspension, in the Job that there is."""
    if observed.job is None or job_ended(observed.job):
        return ()
    wanted = {"suspend": suspended, "parallelism": parallelism}
    spec = {"suspend": False, **observed.job["spec"]}
    wrong = {key: value for key, value in wanted.items() if spec.get(key) != value}
    return (Patch("Job", names.child_name(resource), wrong),) if wrong else ()


def _unwanted(resource: Resource, observed: Observed, settings: Settings, over: bool) -> tuple[tuple[str, str], ...]:
    """Children to delete: a Job that outlives its run, a policy where there are to be none."""
    kinds = []
    if over and observed.job is not None and not job_ended(observed.job):
        kinds.append("Job")
    if settings.network is None and observed.policy is not None:
        kinds.append("NetworkPolicy")
    return tuple((kind, names.child_name(resource)) for kind in kinds)
