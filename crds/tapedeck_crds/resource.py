"""The base of every resource: metadata, conditions and a phase."""

from __future__ import annotations

from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tapedeck_crds.base import Model, Rule
from tapedeck_crds.json import Json
from tapedeck_crds.pod import PodOptions

GROUP = "tapedeck.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Phase = Literal["Pending", "Running", "Paused", "Suspended", "Complete", "Degraded", "Failed"]
SUCCESSFUL_PHASES: frozenset[str] = frozenset({"Complete", "Degraded"})
FINAL_PHASES: frozenset[str] = SUCCESSFUL_PHASES | {"Failed"}

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
NAME_MAX = 40
NAMESPACE_PATTERN = NAME_PATTERN  # of at most 63 characters
NAME_RULE = Rule(
    cel=f"size(self.metadata.name) <= {NAME_MAX} && self.metadata.name.matches('{NAME_PATTERN}')",
    message=f"expected metadata.name of at most {NAME_MAX} characters of a-z, 0-9 and -",
    holds=lambda _new, _old: True,  # Metadata's own type checks it outside the API server
)


class Metadata(BaseModel):
    """The fields of Kubernetes' ObjectMeta that Tapedeck reads; others are kept unchanged."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", defer_build=True)
    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)]
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(Model):
    """One aspect of a resource's state, for machines."""

    type: str = Field(description="The aspect, such as Ready or Finished.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="The cause in one CamelCase word.")
    message: str = Field(default="", description="The cause for people.")
    last_transition_time: str = Field(
        description="Time of the last change of status.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(default=0, description="Generation of the spec that the condition is about.")


class Status(Model):
    """The fields of every status."""

    phase: Phase | None = Field(default=None, description="The state in one word, for people.")
    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that the status is about."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="The state in detail, for machines.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    progress: str | None = Field(default=None, description="Progress as N/M.")
    message: str | None = Field(default=None, description="The cause of the state, and what to do.")
    started_at: str | None = Field(
        default=None,
        description="Time at which the first pod was observed at work.",
        json_schema_extra={"format": "date-time"},
    )
    finished_at: str | None = Field(
        default=None, description="End of the run.", json_schema_extra={"format": "date-time"}
    )


class Column(Model):
    """A column of `kubectl get`."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "date"]
    json_path: str
    priority: int = 0


SpecT = TypeVar("SpecT", bound=PodOptions)
StatusT = TypeVar("StatusT", bound=Status)


class Resource(BaseModel, Generic[SpecT, StatusT]):
    """A custom resource as YAML holds it. Subclasses give the kind, the two types, and what kubectl shows."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", defer_build=True)
    api_version: Literal["tapedeck.dev/v1alpha1"]
    kind: str
    metadata: Metadata
    spec: SpecT
    status: StatusT | None = None

    status_type: ClassVar[type[Status]]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[Column, ...]]
    about: ClassVar[str]

    @property
    def finished(self) -> bool:
        """Whether the phase is final (Complete, Degraded or Failed): nothing more is planned for the resource."""
        return self.status is not None and self.status.phase in FINAL_PHASES


def is_finished(document: Json) -> bool:
    """As ``Resource.finished``, of a document that need not be valid otherwise."""
    return (document.get("status") or {}).get("phase") in FINAL_PHASES


PHASE_COLUMN = Column(name="Phase", type="string", json_path=".status.phase")
REASON_COLUMN = Column(name="Reason", type="string", json_path=".status.conditions[0].reason")
PROGRESS_COLUMN = Column(name="Progress", type="string", json_path=".status.progress")
MESSAGE_COLUMN = Column(name="Message", type="string", json_path=".status.message", priority=1)
AGE_COLUMN = Column(name="Age", type="date", json_path=".metadata.creationTimestamp")

Suspend = Annotated[
    bool,
    Field(
        description="Delete the pods and start none until this is false again; the run then starts from its beginning."
    ),
]
TimeToLive = Annotated[
    int | None,
    Field(
        ge=0,
        le=31_536_000,
        description="Seconds after the end until the resource is deleted (its results are kept); never if omitted.",
    ),
]
ActiveDeadline = Annotated[
    int | None,
    Field(
        ge=1,
        le=31_536_000,
        description="Seconds that the Job of the run may take, restarts and pauses included, a suspension not; the run "
        "then fails with the reason DeadlineExceeded. No limit if omitted. A change takes effect at once.",
    ),
]
