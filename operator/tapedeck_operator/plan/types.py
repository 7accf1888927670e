"""The planner's input and output: immutable values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed, Replay
from tapedeck_crds.pod import Resources
from tapedeck_crds.report import Report


@dataclass(frozen=True)
class Network:
    """The rules of a workload's NetworkPolicy: allowed sources of ingress (peers) and egress (whole rules).

    ``external`` are the peers that exchanges and object stores may be, any host if empty; ``object_store_ports`` are
    the ports of the latter.
    """

    ingress_from: tuple[Json, ...] = ()
    egress: tuple[Json, ...] = ()
    external: tuple[Json, ...] = ()
    object_store_ports: tuple[int, ...] = (443,)


@dataclass(frozen=True)
class Tracing:
    """Where pods export traces to, by OTLP over HTTP, and the share of records that begin one, 0 to 1."""

    endpoint: str
    sample_ratio: float


@dataclass(frozen=True)
class Settings:
    """Settings of the installation. ``operator_key`` signs controls, and ``results_key`` gives each run the key that
    signs its results. ``images`` maps a workload's name to its image, ``resources`` to the compute resources of its
    pods where a resource has none.

    ``network`` is None if no NetworkPolicy is created, as on the embedded deck. ``files_beside_resource`` mounts the
    folder of the applied file at ``files``: only the embedded deck has that folder on the same machine. ``own_secrets``
    are names of Secrets that no resource may name, beside those that are Tapedeck's by their form. ``endpoints`` is
    what URLs of resources may lead to, as pods read it; their default is public addresses. Without ``tracing`` pods
    trace nothing.
    """

    images: Mapping[str, str]
    operator_key: bytes
    results_key: bytes
    http_host: str = "0.0.0.0"
    http_port: int = 8080
    files: str = "/opt/tapedeck/examples"
    files_beside_resource: bool = False
    network: Network | None = None
    pull_policy: str | None = None
    pull_secrets: tuple[str, ...] = ()
    resources: Mapping[str, Resources] = field(default_factory=dict)
    own_secrets: frozenset[str] = frozenset()
    endpoints: str | None = None
    tracing: Tracing | None = None


@dataclass(frozen=True)
class ObservedPod:
    """The observed state of a pod. ``report`` is its last status report, ``url`` the base of its HTTP endpoints.

    ``reason`` (CamelCase) and ``problem`` (a sentence) say why the pod does not run; both are empty if it does.
    ``in_job`` separates pods of a Job from those of a Deployment. ``part`` is empty for the workload's own pods and
    ``transform`` for those of its transforms. ``recheck_at_ms`` is the time (ms UTC) at which a pod that is still being
    created counts as failed.
    """

    name: str
    index: int
    phase: Literal["Pending", "Running", "Succeeded", "Failed"]
    url: str | None = None
    report: Report | None = None
    exit_code: int | None = None
    problem: str = ""
    reason: str = ""
    in_job: bool = False
    part: str = ""
    recheck_at_ms: int | None = None


@dataclass(frozen=True)
class ActionFailure:
    """Why the last action on a child failed, for example NameConflict or Forbidden."""

    reason: str
    message: str


@dataclass(frozen=True)
class Observed:
    """The observed state of a resource's children and of the resources that it depends on.

    - ``job``, ``deployments``, ``policy``: the children as the API returns them, ``pods`` their pods, oldest first;
    - ``transform_pods``, ``transform_policy``: those of the transforms' Deployment;
    - ``replay``: the Replay that a Backtest reads, or whose clock a Replay follows;
    - ``followers``: the Replays that follow this one's clock;
    - ``active_feeds``: the unfinished Feeds of the namespace;
    - ``fill_feed``: the Feed that downloads the bars missing from a Replay's range;
    - ``failure``: the failure of the last attempt to apply the children, None if it succeeded.
    """

    job: Json | None = None
    pods: tuple[ObservedPod, ...] = ()
    replay: Replay | None = None
    followers: tuple[Replay, ...] = ()
    active_feeds: tuple[Feed, ...] = ()
    fill_feed: Feed | None = None
    policy: Json | None = None
    deployments: tuple[Json, ...] = ()
    failure: ActionFailure | None = None
    transform_pods: tuple[ObservedPod, ...] = ()
    transform_policy: Json | None = None

    def newest(self, index: int = 0) -> ObservedPod | None:
        """The newest pod of an index, None if there is none."""
        return next((pod for pod in reversed(self.pods) if pod.index == index), None)


@dataclass(frozen=True)
class Event:
    """A Kubernetes event that records a transition."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class ControlRequest:
    """A signed POST of the anchor to a pod. It is sent after the status that holds the anchor is written."""

    pod: str
    url: str
    body: bytes
    signature: str


@dataclass(frozen=True)
class Patch:
    """A merge patch of a child's spec."""

    kind: str
    name: str
    spec: Json


@dataclass(frozen=True)
class Plan:
    """The desired state. It is carried out in this order: ``apply``, ``patches``, ``delete``, ``status``,
    ``control_requests``, ``events``.

    ``delete`` names children as (kind, name). ``expired`` requests the deletion of the resource itself.
    ``await_reports`` asks for frequent polls of the pods, ``requeue_at_ms`` (ms UTC) for another reconcile at that time
    even if nothing changes.
    """

    status: Json
    apply: tuple[Json, ...] = ()
    patches: tuple[Patch, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    control_requests: tuple[ControlRequest, ...] = ()
    events: tuple[Event, ...] = ()
    expired: bool = False
    await_reports: bool = False
    requeue_at_ms: int | None = None
