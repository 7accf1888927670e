"""What planning takes and gives: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed, Replay
from tapedeck_crds.report import Report

NOT_STARTING = "NotStarting"  # a pod's reason: its node has it and can't make it, as where a volume is missing


@dataclass(frozen=True)
class Network:
    """Who may reach pods of runs and whom they may reach, as NetworkPolicy holds it."""

    ingress_from: tuple[Json, ...] = ()
    egress: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the installation decides. ``images`` maps a workload's name to its image.

    ``network`` is None where there are to be no NetworkPolicies, as on the embedded deck.
    """

    images: Mapping[str, str]
    operator_key: bytes
    http_host: str = "0.0.0.0"
    http_port: int = 8080
    files: str = "/opt/tapedeck/examples"
    # The embedded deck finds files beside the applied file; on a cluster that folder is elsewhere.
    files_beside_resource: bool = False
    network: Network | None = None
    pull_policy: str | None = None
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class PodSeen:
    """A pod as it was observed. ``report`` is what it says of itself, or said at its end.

    ``problem`` is why it does not run, for people; ``reason`` the same in one CamelCase word. ``in_job`` tells a Job's
    pods from those of a Deployment; ``part`` is what one is for that stands beside the run's own.
    ``slow_at_ms`` is when one that is being made will have a problem if nothing is heard of it by then.
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
    slow_at_ms: int | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a child could not be made as planned, such as NameConflict or Forbidden."""

    reason: str
    message: str


@dataclass(frozen=True)
class Observed:
    """What there is of a resource's children. ``replay`` is the one that a Backtest names or whose clock a Replay
    follows, ``followers`` are those that follow this one's, ``feeds`` are those of its namespace still at work,
    ``fill`` is the one that brings what a Replay's range lacks.

    ``refusal`` is what came of the last attempt to make the children, None where all went well. ``beside`` are
    pods that are not the run's own, ``beside_policy`` is theirs.
    """

    job: Json | None = None
    pods: tuple[PodSeen, ...] = ()
    replay: Replay | None = None
    followers: tuple[Replay, ...] = ()
    feeds: tuple[Feed, ...] = ()
    fill: Feed | None = None
    policy: Json | None = None
    deployments: tuple[Json, ...] = ()
    refusal: Refusal | None = None
    beside: tuple[PodSeen, ...] = ()
    beside_policy: Json | None = None

    def newest(self, index: int = 0) -> PodSeen | None:
        """The last pod of an index."""
        return next((pod for pod in reversed(self.pods) if pod.index == index), None)


@dataclass(frozen=True)
class Event:
    """A transition, told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Push:
    """A control to hand to a pod after the status holds it."""

    pod: str
    url: str
    body: bytes
    signature: str


@dataclass(frozen=True)
class Patch:
    """A change of a child's spec that leaves the rest of it alone."""

    kind: str
    name: str
    spec: Json


@dataclass(frozen=True)
class Plan:
    """What should be. Order of doing: ``apply``, ``patches``, ``delete``, status, pushes, events.

    ``delete`` names children (kind, name). ``expired`` asks for the resource itself to be deleted.
    ``eager`` says that news of its pods is awaited; ``wake_ms`` when to plan again though nothing changed.
    """

    status: Json
    apply: tuple[Json, ...] = ()
    patches: tuple[Patch, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    pushes: tuple[Push, ...] = ()
    events: tuple[Event, ...] = field(default=())
    expired: bool = False
    eager: bool = False
    wake_ms: int | None = None
