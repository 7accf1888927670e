"""The deck's own objects: the Secret with the connections, and the Deployments of recorder and gateway."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.settings import WorkloadName
from tapedeck_crds.json import Json
from tapedeck_crds.sink import RecorderOptions
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_operator.plan.pods import (
    CONNECTION_FIELDS,
    CONNECTIONS_PATH,
    CONNECTIONS_SECRET,
    KEY,
    KEY_PATH,
    TERMINATION_LOG,
)

OptionsT = TypeVar("OptionsT", bound=BaseModel)
NAMESPACE = "default"
RESULTS_KEY_SECRET = "tapedeck-results-key"

# The image of a workload is the Python package that the process runs.
IMAGES = {
    "feed": "tapedeck_feed",
    "replay": "tapedeck_replay",
    "transform": "tapedeck_transform",
    "backtest": "tapedeck_backtest",
    "recorder": "tapedeck_recorder",
    "gateway": "tapedeck_gateway",
    "migrate": "tapedeck_maintenance.migrate",
}
# The database role of each workload. Only the recorder's can write.
ROLES: dict[WorkloadName, str] = {
    "feed": "tapedeck_reader",
    "replay": "tapedeck_reader",
    "transform": "tapedeck_reader",
    "backtest": "tapedeck_reader",
    "gateway": "tapedeck_reader",
    "recorder": "tapedeck_recorder",
}


def connections(broker: Callable[[str], dict[str, str]], database: Callable[[str], str]) -> Json:
    """The Secret with the connections of all workloads, of which a pod mounts those of its own.

    ``broker`` returns what a client of an account needs, ``database`` the URI of a role.
    """
    data: dict[str, str] = {}
    for workload, role in ROLES.items():
        own = broker(workload) | {"store_dsn": database(role)}
        data |= {f"{workload}.{name}": value for name, value in own.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CONNECTIONS_SECRET, "namespace": NAMESPACE},
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items()},
    }


def results_key(key: bytes) -> Json:
    """The Secret with the key of all results, for the recorder."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": RESULTS_KEY_SECRET, "namespace": NAMESPACE},
        "data": {KEY: b64encode(key).decode()},
    }


def recorder_options(file: Path) -> RecorderOptions:
    """The recorder's options from a YAML file with a list of sinks; no sinks without the file. Raises DeckError."""
    return _options(file, RecorderOptions, lambda content: {"sinks": content or []})


def endpoint_policy(file: Path) -> EndpointPolicy:
    """Where URLs of resources may lead to, by a YAML file; public addresses without it. Raises DeckError."""
    return _options(file, EndpointPolicy, lambda content: content or {})


def _options(file: Path, model: type[OptionsT], document: Callable[[Any], Any]) -> OptionsT:
    """A model of what a YAML file has; its defaults without the file. Raises DeckError."""
    if not file.exists():
        return model()
    import yaml

    try:
        return model.model_validate(document(yaml.safe_load(file.read_text())))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise DeckError(f"{file}: {error}") from error


def deployment(
    workload: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    extra_env: dict[str, str] | None = None,
    key_secret: str | None = None,
) -> Json:
    """The Deployment of one of the deck's own workloads, with one pod. ``key_secret`` has its key of results."""
    items = [{"key": f"{workload}.{name}", "path": name} for name in CONNECTION_FIELDS]
    volumes: list[Json] = [{"name": "connections", "secret": {"secretName": CONNECTIONS_SECRET, "items": items}}]
    mounts = [{"name": "connections", "mountPath": CONNECTIONS_PATH}]
    if key_secret is not None:
        volumes.append({"name": "key", "secret": {"secretName": key_secret}})
        mounts.append({"name": "key", "mountPath": KEY_PATH})
        extra_env = {**(extra_env or {}), "TAPEDECK_RESULTS_KEY_FILE": f"{KEY_PATH}/{KEY}"}
    environment = {
        "TAPEDECK_NAME": workload,
        "TAPEDECK_HTTP_HOST": host,
        "TAPEDECK_HTTP_PORT": str(port),
        "TAPEDECK_CONNECTIONS": CONNECTIONS_PATH,
        "TAPEDECK_TERMINATION_LOG": TERMINATION_LOG,
        **(extra_env or {}),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "tapedeck"}},
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": workload}},
                "spec": {
                    "terminationGracePeriodSeconds": 15,
                    "containers": [
                        {
                            "name": workload,
                            "image": IMAGES[workload],
                            "env": [{"name": name, "value": value} for name, value in environment.items()],
                            "volumeMounts": mounts,
                        }
                    ],
                    "volumes": volumes,
                },
            },
        },
    }
