"""Resources and placement of pods."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, Rule, immutable

Quantity = Annotated[
    str,
    Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"),
]
_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
LabelValue = Annotated[str, Field(max_length=63)]
Amounts = Annotated[dict[str, Quantity], Field(max_length=16)]


def parse_quantity(text: str) -> float:
    """A Kubernetes quantity such as 512Mi, 2G or 500m as a number: of bytes, or of cores."""
    digits = text.rstrip("mkMGTPEi")
    return float(digits) * _UNITS[text[len(digits) :]]


class Resources(Model):
    """Compute resources of each pod."""

    requests: Amounts | None = Field(
        default=None,
        description="Reserved for the pod, by resource name: cpu in cores, memory and ephemeral-storage in bytes, such "
        "as 500m or 1Gi. A name that is omitted has the installation's default.",
    )
    limits: Amounts | None = Field(
        default=None,
        description="Upper limits, by resource name: cpu in cores, memory and ephemeral-storage in bytes; such as 2 or "
        "4Gi. A name that is omitted has the installation's default. ephemeral-storage is also the size of /tmp.",
    )


class Toleration(Model):
    """A taint that the pods tolerate."""

    key: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, description="Key of the taint; any if omitted."
    )
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="Equal compares the value, Exists does not."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; any if omitted."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="With NoExecute: seconds until eviction; never if omitted."
    )


class PodOptions(Model):
    """Fields of every spec about its pods. The embedded deck applies only the memory limit of a Backtest."""

    resources: Resources | None = Field(default=None, description="Compute resources of each pod.")
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Labels of the nodes on which the pods may run."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        default=None, description="Taints that the pods tolerate."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("resources"),
        immutable("node_selector"),
        immutable("tolerations"),
    )
