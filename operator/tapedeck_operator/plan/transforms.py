"""The transforms of a Feed or a Replay: a Deployment of one pod that computes series, with a policy of its own.

The pod runs users' functions. It therefore gets no exchange keys and reaches only the broker and the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Backtest, Feed
from tapedeck_crds.report import Report
from tapedeck_crds.transforms import Transform
from tapedeck_operator.plan import names, pods, reasons
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.run_status import RunStatus
from tapedeck_operator.plan.types import Observed, Patch, Settings

WORKLOAD = "transform"
FUNCTIONS_PATH = "/opt/tapedeck/functions"
JOB_TIME_RESOLUTION_MS = 1_000  # a Job's completionTime is in whole seconds
COMPLETION_TIMEOUT_MS = 600_000  # a run is Complete this long after its Job, whether its transforms are or not


def transforms_of(resource: AnyResource) -> Sequence[Transform]:
    """The transforms in a resource's spec."""
    return () if isinstance(resource, Backtest) else resource.spec.transforms or ()


def transform_name(resource: AnyResource) -> str:
    """The name of the transforms' Deployment and NetworkPolicy."""
    return f"{names.child_name(resource)}-{WORKLOAD}"


def transform_children(resource: AnyResource, observed: Observed, settings: Settings) -> tuple[Json, ...]:
    """The policy and the Deployment to apply: those that are missing or differ from the spec."""
    if not transforms_of(resource):
        return ()
    policy = network_policy(resource, settings, part=WORKLOAD)
    children = [policy] if policy is not None and not contains(observed.transform_policy, policy) else []
    return (*children, *([] if _current(resource, observed) else [_deployment(resource, settings)]))


def transform_patches(resource: AnyResource, observed: Observed) -> tuple[Patch, ...]:
    """The patch that gives the current Deployment the desired number of replicas, none if it has that."""
    current = _current(resource, observed)
    if not transforms_of(resource) or current is None or current["spec"]["replicas"] == _replicas(resource):
        return ()
    return (Patch("Deployment", transform_name(resource), {"replicas": _replicas(resource)}),)


def obsolete_transforms(
    resource: AnyResource, observed: Observed, settings: Settings, *, final: bool
) -> tuple[tuple[str, str], ...]:
    """The children to delete: the Deployment of a final run or of a spec without transforms, and a disabled policy.

    The policy outlives the Deployment, so that it holds while users' functions shut down; it is deleted with the
    resource.
    """
    kinds = []
    if _existing(resource, observed) is not None and (final or not transforms_of(resource)):
        kinds.append("Deployment")
    if settings.network is None and observed.transform_policy is not None:
        kinds.append("NetworkPolicy")
    return tuple((kind, transform_name(resource)) for kind in kinds)


def status_with_transforms(resource: AnyResource, observed: Observed, state: RunStatus, now_ms: int) -> RunStatus:
    """The state of a run together with its transforms. It is Complete only when they have finished, too.

    A run whose transforms failed, or have not finished ``COMPLETION_TIMEOUT_MS`` after its Job, is Complete with a
    message that says so.
    """
    if not transforms_of(resource):
        if isinstance(resource, Backtest) or resource.status is None or not resource.status.transforms:
            return state
        return replace(state, fields=state.fields | {"transforms": []})  # those of an earlier spec
    report = _report(observed)
    if report is not None and report.transforms is not None and report.transforms.results:
        results = [each.model_dump() | {"message": each.message or None} for each in report.transforms.results]
        state = replace(state, fields=state.fields | {"transforms": results})
    if report is not None and report.sandbox and state.phase in ("Running", "Complete"):
        state = replace(state, message="; ".join(filter(None, (state.message, report.sandbox))))
    problem = _problem(report, observed)
    if state.phase == "Complete":
        job_end = _completion_ms(observed.job)
        failed = report is not None and report.state == "failed"
        finished = _finished(resource, report, job_end)
        given_up = job_end + COMPLETION_TIMEOUT_MS
        if not failed and not finished and now_ms < given_up:
            message = problem or "the transforms have not finished yet"
            return replace(state, phase="Running", reason=reasons.TRANSFORMING, message=message, recheck_at_ms=given_up)
        return replace(state, message="; ".join(filter(None, (state.message, problem))))
    if problem is not None and state.phase in ("Running", "Paused"):
        message = "; ".join(filter(None, (state.message, problem)))
        return replace(state, reason=reasons.TRANSFORMS_FAILED, message=message, warning=True)
    return state


def _existing(resource: AnyResource, observed: Observed) -> Json | None:
    name = transform_name(resource)
    return next((one for one in observed.deployments if one["metadata"]["name"] == name), None)


def _current(resource: AnyResource, observed: Observed) -> Json | None:
    """The Deployment if it exists and was made from the current spec."""
    existing, generation = _existing(resource, observed), str(resource.metadata.generation)
    label = (existing or {}).get("metadata", {}).get("labels", {}).get(names.GENERATION_LABEL)
    return existing if label == generation else None


def _replicas(resource: AnyResource) -> int:
    return 0 if isinstance(resource, Feed) and resource.spec.suspend else 1


def _report(observed: Observed) -> Report | None:
    """The newest report of a pod that is past its start."""
    reports = (pod.report for pod in reversed(observed.transform_pods))
    return next((report for report in reports if report is not None and report.state != "starting"), None)


def _problem(report: Report | None, observed: Observed) -> str | None:
    if report is not None and report.state == "failed":
        return f"transforms failed: {report.message}"
    newest = observed.transform_pods[-1] if observed.transform_pods else None
    return f"transforms do not run: {newest.problem}" if newest is not None and newest.reason else None


def _finished(resource: AnyResource, report: Report | None, job_end_ms: int) -> bool:
    if report is None:
        return False
    if resource.kind == "Replay":
        return report.state == "complete"
    caught_up_ms = (report.transforms.caught_up or 0) if report.transforms is not None else 0
    return report.transforms is not None and caught_up_ms > job_end_ms + JOB_TIME_RESOLUTION_MS


def _completion_ms(job: Json | None) -> int:
    """When the Job was complete, milliseconds UTC; 0 if it is not."""
    completion = (job or {}).get("status", {}).get("completionTime")
    return time_ms(completion) if completion else 0


def _deployment(resource: AnyResource, settings: Settings) -> Json:
    """The Deployment: never two pods at once, and none while the resource is suspended."""
    labels = {**names.labels(resource), names.PART_LABEL: WORKLOAD}
    extra_env = {
        "TAPEDECK_SINCE": resource.metadata.creation_timestamp,
    }
    pod = {**pods.part_pod(resource, WORKLOAD, settings, extra_env), "restartPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**names.child_metadata(resource), "name": transform_name(resource)},
        "spec": {
            "replicas": _replicas(resource),
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {
                "matchLabels": {names.UID_LABEL: resource.metadata.uid, names.PART_LABEL: WORKLOAD},
            },
            "template": {"metadata": {"labels": labels}, "spec": _with_functions(resource, pod)},
        },
    }


def _with_functions(resource: AnyResource, pod: Json) -> Json:
    """A pod spec with each ConfigMap of functions mounted, and its folder in a TAPEDECK_FUNCTIONS_<n> variable."""
    functions = (each.function for each in transforms_of(resource) if each.function is not None)
    maps = dict.fromkeys(each.config_map for each in functions if each.config_map is not None)
    container = pod["containers"][0]
    paths = [f"{FUNCTIONS_PATH}/{name}" for name in maps]
    variables = [{"name": f"TAPEDECK_FUNCTIONS_{n}", "value": path} for n, path in enumerate(paths)]
    mounts = [{"name": f"functions-{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(paths)]
    volumes = [{"name": f"functions-{n}", "configMap": {"name": name}} for n, name in enumerate(maps)]
    mounted = {
        "env": [*pods.with_shard(container["env"], 0), *variables],
        "volumeMounts": [*container["volumeMounts"], *mounts],
    }
    return pod | {
        "containers": [container | mounted],
        "volumes": [*pod["volumes"], *volumes],
    }
