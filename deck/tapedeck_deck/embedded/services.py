"""The deck's own objects: the Secret with the connections, and the Deployments of recorder and gateway."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
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
TOKENS_SECRET = "tapedeck-gateway-tokens"
TOKENS_PATH = "/etc/tapedeck/tokens"

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
    return _secret(CONNECTIONS_SECRET, {key: value.encode() for key, value in data.items()})


def results_key(key: bytes) -> Json:
    """The Secret with the key of all results, for the recorder."""
    return _secret(RESULTS_KEY_SECRET, {KEY: key})


def gateway_tokens(control: str) -> Json:
    """The Secret with the token of the deck's owner, for the gateway."""
    return _secret(TOKENS_SECRET, {"owner.control": control.encode()})


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


def _secret(name: str, data: Mapping[str, bytes]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def recorder(environment: dict[str, str]) -> Json:
    """The Deployment of the recorder, with the key of all results."""
    key_file = {"TAPEDECK_RESULTS_KEY_FILE": f"{KEY_PATH}/{KEY}"}
    return _deployment("recorder", 0, environment | key_file, {KEY_PATH: RESULTS_KEY_SECRET})


def gateway(port: int, origins: Sequence[str], api_socket: Path, environment: Mapping[str, str]) -> Json:
    """The Deployment of the gateway. Whoever reads needs no token, and who changes something that of the owner."""
    own = {
        "TAPEDECK_SPEC": json.dumps({"origins": list(origins), "openReading": True}),
        "TAPEDECK_TOKENS": TOKENS_PATH,
        "TAPEDECK_RESOURCE_API": f"unix:{api_socket}",
    }
    return _deployment("gateway", port, {**environment, **own}, {TOKENS_PATH: TOKENS_SECRET})


def _deployment(workload: str, port: int, extra_env: dict[str, str], secrets: dict[str, str]) -> Json:
    """The Deployment of one of the deck's own workloads, with one pod. ``secrets`` maps mount paths to Secrets."""
    items = [{"key": f"{workload}.{name}", "path": name} for name in CONNECTION_FIELDS]
    volumes: list[Json] = [{"name": "connections", "secret": {"secretName": CONNECTIONS_SECRET, "items": items}}]
    mounts = [{"name": "connections", "mountPath": CONNECTIONS_PATH}]
    for path, secret in secrets.items():
        volumes.append({"name": secret, "secret": {"secretName": secret}})
        mounts.append({"name": secret, "mountPath": path})
    environment = {
        "TAPEDECK_NAME": workload,
        "TAPEDECK_HTTP_HOST": "127.0.0.1",
        "TAPEDECK_HTTP_PORT": str(port),
        "TAPEDECK_CONNECTIONS": CONNECTIONS_PATH,
        "TAPEDECK_TERMINATION_LOG": TERMINATION_LOG,
        **extra_env,
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
