"""The source of a strategy as a ConfigMap, which a Backtest names in `spec.strategy.configMap`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from tapedeck_crds.base import Model
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import GROUP
from tapedeck_crds.resource import NAME_MAX, NAME_PATTERN
from tapedeck_crds.validation import validation_problems
from tapedeck_gateway.resources.errors import ResourceConflict
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

LABEL = f"{GROUP}/strategy"
FILE = "strategy.py"
SOURCE_MAX = 500_000


class StrategySource(Model):
    """A module with strategies."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)]
    source: Annotated[str, Field(min_length=1, max_length=SOURCE_MAX)] = Field(
        description=f"Python source; the Backtest names its class as {FILE.removesuffix('.py')}:Class."
    )


def parse_strategy_source(body: bytes) -> StrategySource:
    """The body of a request. Raises InvalidInput with every problem found."""
    try:
        return StrategySource.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput("\n".join(validation_problems(error))) from None


def store_source(api: KubernetesApi, namespace: str, given: StrategySource) -> None:
    """Create the ConfigMap, or replace one that was created so. Raises ResourceConflict for any other of its name."""
    metadata = {"name": given.name, "namespace": namespace, "labels": {LABEL: "source"}}
    data = {FILE: given.source}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    try:
        api.create_config_map(manifest)
    except ResourceConflict:
        version = _require_own(api, namespace, given.name)["metadata"]["resourceVersion"]
        api.patch_config_map(namespace, given.name, {"metadata": {"resourceVersion": version}, "data": data})


def delete_source(api: KubernetesApi, namespace: str, name: str) -> None:
    """Delete a ConfigMap that ``store_source`` created. Raises ResourceNotFound, ResourceConflict."""
    metadata = _require_own(api, namespace, name)["metadata"]
    # Another one that takes its name meanwhile stays.
    api.delete_config_map(namespace, name, {each: metadata[each] for each in ("uid", "resourceVersion")})


def _require_own(api: KubernetesApi, namespace: str, name: str) -> Json:
    found = api.config_map(namespace, name)
    if LABEL not in (found["metadata"].get("labels") or {}):
        raise ResourceConflict(
            f"name: got {name!r}, which is a ConfigMap without the label {LABEL}; choose another name"
        )
    return found
