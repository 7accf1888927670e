"""The operator's settings, from the environment with the prefix ``TAPEDECK_OPERATOR_``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tapedeck_crds.pod import Resources
from tapedeck_operator.plan import Network, Settings, Tracing

WORKLOADS = ("feed", "replay", "transform", "backtest")
KEY_MIN_BYTES = 16


class OperatorSettings(BaseSettings):
    """``images`` maps feed, replay, transform and backtest to images (``TAPEDECK_OPERATOR_IMAGES__FEED`` and so on),
    ``resources`` maps them to the compute resources of pods whose resource has none.

    With ``network_policies`` the operator creates NetworkPolicies, whose peers and rules are ``ingress_from``,
    ``egress``, ``external`` and ``object_store_ports``. ``own_secrets`` are Secrets that no resource may name.
    ``endpoints`` is passed on to the pods, which check it. With ``traces_endpoint`` they export traces there, of
    the share ``traces_sample_ratio`` of records.
    """

    model_config = SettingsConfigDict(env_prefix="TAPEDECK_OPERATOR_", env_nested_delimiter="__", frozen=True)
    namespace: Annotated[str, Field(min_length=1)] = "default"
    watch_namespace: str = ""
    images: dict[str, str]
    key_file: Path
    results_key_file: Path
    http_host: str = "0.0.0.0"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    workload_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    files: str = "/opt/tapedeck/examples"
    pull_policy: str | None = None
    pull_secrets: tuple[str, ...] = ()
    resources: dict[str, Resources] = Field(default_factory=dict)
    own_secrets: frozenset[str] = frozenset()
    endpoints: str | None = None
    traces_endpoint: str = ""
    traces_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    network_policies: bool = False
    ingress_from: tuple[dict[str, Any], ...] = ()
    egress: tuple[dict[str, Any], ...] = ()
    external: tuple[dict[str, Any], ...] = ()
    object_store_ports: tuple[int, ...] = (443,)
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    resync_seconds: Annotated[float, Field(gt=0)] = 300.0
    poll_seconds: Annotated[float, Field(gt=0)] = 5.0
    watch_seconds: Annotated[int, Field(ge=1, le=20)] = 20
    probe_seconds: Annotated[float, Field(gt=0, le=10)] = 10.0
    log_level: str = "info"

    @field_validator("images")
    @classmethod
    def _complete(cls, images: dict[str, str]) -> dict[str, str]:
        missing = [name for name in WORKLOADS if not images.get(name)]
        if missing:
            raise ValueError(f"got none for {', '.join(missing)}, expected an image for each of {', '.join(WORKLOADS)}")
        return images

    @field_validator("resources")
    @classmethod
    def _of_workloads(cls, resources: dict[str, Resources]) -> dict[str, Resources]:
        unknown = sorted(resources.keys() - set(WORKLOADS))
        if unknown:
            raise ValueError(f"got {', '.join(unknown)}, expected {', '.join(WORKLOADS)}")
        return resources

    def planning(self) -> Settings:
        """The planner's settings. Raises ValueError where a key is too short."""
        return Settings(
            images=self.images,
            operator_key=_key(self.key_file),
            results_key=_key(self.results_key_file),
            http_port=self.workload_port,
            files=self.files,
            network=self._network() if self.network_policies else None,
            pull_policy=self.pull_policy,
            pull_secrets=self.pull_secrets,
            resources=self.resources,
            own_secrets=self.own_secrets,
            endpoints=self.endpoints,
            tracing=Tracing(self.traces_endpoint, self.traces_sample_ratio) if self.traces_endpoint else None,
        )

    def _network(self) -> Network:
        return Network(self.ingress_from, self.egress, self.external, self.object_store_ports)


def _key(file: Path) -> bytes:
    key = file.read_bytes().strip()
    if len(key) < KEY_MIN_BYTES:
        raise ValueError(f"{file}: got a key of {len(key)} bytes, expected at least {KEY_MIN_BYTES}")
    return key
