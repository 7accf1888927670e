"""What a user may say of the pods of a run: how much they get and where they go."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, Rule, immutable

Quantity = Annotated[
    str,
    Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"),
]
LabelValue = Annotated[str, Field(max_length=63)]
Amounts = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(Model):
    """How much of a machine each pod gets."""

    requests: Amounts | None = Field(
        default=None,
        description="Reserved for the pod, by name: cpu in cores, memory in bytes; text such as 500m or 1Gi.",
    )
    limits: Amounts | None = Field(
        default=None, description="The most it may use, by name: cpu in cores, memory in bytes; text such as 2 or 4Gi."
    )


class Toleration(Model):
    """A taint that the pods put up with."""

    key: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, description="Key of the taint; any if left out."
    )
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="Exists asks for no value.")
    value: LabelValue | None = Field(default=None, description="Value of the taint, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; any if left out."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="With NoExecute: seconds to stay; for ever if left out."
    )


class PodOptions(Model):
    """What each kind's spec lets its user say of the pods. The embedded deck heeds a Backtest's memory limit alone."""

    resources: Resources | None = Field(default=None, description="How much of a machine each pod gets.")
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Labels of the nodes that the pods may run on."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        default=None, description="Taints that the pods put up with."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("resources"),
        immutable("node_selector"),
        immutable("tolerations"),
    )
