"""The pod that computes a Feed's or a Replay's series: a Deployment beside the run's own pods.

It holds the user's functions, so it gets no exchange's keys and reaches broker and database alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Resource
from tapedeck_crds.report import Report
from tapedeck_crds.transforms import Transform
from tapedeck_operator.plan import names, pods
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.status import Verdict
from tapedeck_operator.plan.types import Observed, ObservedPod, Patch, Settings

WORKLOAD = "transform"
FUNCTIONS_PATH = "/opt/tapedeck/functions"
SLACK_MS = 1_000  # a Job tells its end in whole seconds
PATIENCE_MS = 600_000


def transforms_of(resource: Resource) -> Sequence[Transform]:
    """What a resource asks to be computed."""
    found: Sequence[Transform] = getattr(resource.spec, "transforms", None) or ()
    return found


def deployment_name(resource: Resource) -> str:
    """The Deployment's, and its policy's."""
    return f"{names.child_name(resource)}-{WORKLOAD}"


def transform_children(resource: Resource, observed: Observed, settings: Settings) -> tuple[Json, ...]:
    """What is to be made for the transforms: nothing where it is there as the spec wants it."""
    if not transforms_of(resource):
        return ()
    policy = network_policy(resource, settings, part=WORKLOAD)
    children = [policy] if policy is not None and not contains(observed.transform_policy, policy) else []
    return (*children, *([] if _current(resource, observed) else [_deployment(resource, settings)]))


def transform_patches(resource: Resource, observed: Observed) -> tuple[Patch, ...]:
    """What someone else turned in the Deployment that there is: the number of its pods."""
    known = _current(resource, observed)
    if not transforms_of(resource) or known is None or known["spec"]["replicas"] == _replicas(resource):
        return ()
    return (Patch("Deployment", deployment_name(resource), {"replicas": _replicas(resource)}),)


def unwanted_transforms(
    resource: Resource, observed: Observed, settings: Settings, over: bool
) -> tuple[tuple[str, str], ...]:
    """The Deployment to delete: of a run that is over, or that asks for no transforms any more.

    Its policy holds while users' functions come to their end: it goes with the resource, or where there are to be none.
    """
    kinds = []
    if _known(resource, observed) is not None and (over or not transforms_of(resource)):
        kinds.append("Deployment")
    if settings.network is None and observed.transform_policy is not None:
        kinds.append("NetworkPolicy")
    return tuple((kind, deployment_name(resource)) for kind in kinds)


def with_transforms(resource: Resource, observed: Observed, verdict: Verdict, now_ms: int) -> Verdict:
    """The verdict on a run with what its transforms have come to. It is complete only when they are through."""
    if not transforms_of(resource):
        told_before = getattr(resource.status, "transforms", None)  # of a spec that asked for some
        return replace(verdict, facts=verdict.facts | {"transforms": []}) if told_before else verdict
    report = _report(observed)
    if report is not None and report.transforms is not None and report.transforms.results:
        told = [each.model_dump() | {"message": each.message or None} for each in report.transforms.results]
        verdict = replace(verdict, facts=verdict.facts | {"transforms": told})
    wrong = _wrong(report, observed)
    if verdict.phase == "Complete":
        ended = _ended(observed.job)
        given_up = report is not None and report.state == "failed"
        if not given_up and not _through(resource, report, ended) and now_ms < ended + PATIENCE_MS:
            message = wrong or "transforms are not through yet"
            return replace(verdict, phase="Running", reason="Transforming", message=message)
        return replace(verdict, message="; ".join(filter(None, (verdict.message, wrong))))
    if wrong is not None and verdict.phase == "Running":
        said = "; ".join(filter(None, (verdict.message, wrong)))
        return replace(verdict, reason="TransformsFailed", message=said, trouble=True)
    return verdict


def _known(resource: Resource, observed: Observed) -> Json | None:
    name = deployment_name(resource)
    return next((one for one in observed.deployments if one["metadata"]["name"] == name), None)


def _current(resource: Resource, observed: Observed) -> Json | None:
    """The Deployment, where it is of the spec as it is now."""
    known, generation = _known(resource, observed), str(resource.metadata.generation)
    told = (known or {}).get("metadata", {}).get("labels", {}).get(names.GENERATION_LABEL)
    return known if told == generation else None


def _replicas(resource: Resource) -> int:
    return 0 if getattr(resource.spec, "suspend", False) else 1


def _report(observed: Observed) -> Report | None:
    """The newest word of the pod; that of the one before while it is still starting."""
    return next((pod.report for pod in reversed(observed.transform_pods) if _said(pod)), None)


def _said(pod: ObservedPod) -> bool:
    return pod.report is not None and pod.report.state != "starting"


def _wrong(report: Report | None, observed: Observed) -> str | None:
    if report is not None and report.state == "failed":
        return f"no transforms: {report.message}"
    newest = observed.transform_pods[-1] if observed.transform_pods else None
    if newest is not None and newest.reason and newest.report is None:
        return f"no transforms yet: {newest.problem}"
    return None


def _through(resource: Resource, report: Report | None, ended: int) -> bool:
    if report is None:
        return False
    if resource.kind == "Replay":
        return report.state == "complete"
    return report.transforms is not None and (report.transforms.caught_up or 0) > ended + SLACK_MS


def _ended(job: Json | None) -> int:
    """When the Job was complete, milliseconds UTC."""
    told = (job or {}).get("status", {}).get("completionTime")
    return time_ms(told) if told else 0


def _deployment(resource: Resource, settings: Settings) -> Json:
    """One pod, never two at once; none while the resource is suspended."""
    labels = {**names.labels(resource), names.PART_LABEL: WORKLOAD}
    extra = {
        "TAPEDECK_KIND": resource.kind,
        "TAPEDECK_SINCE": resource.metadata.creation_timestamp,
    }
    pod = {**pods.pod_of(resource, WORKLOAD, settings, extra), "restartPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**names.child_metadata(resource), "name": deployment_name(resource)},
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


def _with_functions(resource: Resource, pod: Json) -> Json:
    """A pod's spec with each ConfigMap that holds functions, in a folder that is told by a variable of its own."""
    functions = (each.function for each in transforms_of(resource) if each.function is not None)
    maps = dict.fromkeys(each.config_map for each in functions if each.config_map is not None)
    container = pod["containers"][0]
    paths = [f"{FUNCTIONS_PATH}/{name}" for name in maps]
    told = [{"name": f"TAPEDECK_FUNCTIONS_{n}", "value": path} for n, path in enumerate(paths)]
    mounts = [{"name": f"functions-{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(paths)]
    volumes = [{"name": f"functions-{n}", "configMap": {"name": name}} for n, name in enumerate(maps)]
    mounted = {
        "env": [*pods.numbered(container["env"], 0), *told],
        "volumeMounts": [*container["volumeMounts"], *mounts],
    }
    return pod | {
        "containers": [container | mounted],
        "volumes": [*pod["volumes"], *volumes],
    }
