"""The manifests of a run: its Indexed Job, its pod template, and the Secret with its key."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.files import Files, FileVolume
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Backtest
from tapedeck_crds.pod import Resources
from tapedeck_crds.run_key import run_key
from tapedeck_crds.secrets import FILE_CREDENTIALS
from tapedeck_operator.plan import names
from tapedeck_operator.plan.pod_resources import scratch_volume, with_defaults
from tapedeck_operator.plan.types import Settings, Tracing

CONNECTIONS_SECRET = "tapedeck-connections"
CONNECTIONS_PATH = "/etc/tapedeck/connections"
KEY_PATH = "/etc/tapedeck/key"
FILE_CREDENTIALS_PATH = "/etc/tapedeck/file-credentials"
KEY = "key"  # of the Secret
TERMINATION_LOG = "/dev/termination-log"
GRACE_SECONDS = 30
# The limit is one of the Job, not of each index. With backoffLimitPerIndex the Job controller removes the finalizer of
# a failed pod only when it creates the replacement, which is impossible in a namespace that is being deleted. Since
# Kubernetes 1.33 pods are deleted before Jobs there, so the namespace never terminates (seen on 1.34).
BACKOFF_LIMIT = 20
INDEX_FIELD = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

# The keys of tapedeck-connections that each workload mounts, under the workload's own prefix.
CONNECTION_FIELDS = (
    "kafka_bootstrap",
    "kafka_security_protocol",
    "kafka_sasl_mechanism",
    "kafka_username",
    "kafka_password",
    "kafka_ca",
    "store_dsn",
    "store_ca",
)


def run_job(
    resource: AnyResource,
    settings: Settings,
    *,
    extra_env: dict[str, str] | None = None,
    keyed: bool = False,
    completions: int = 1,
    parallelism: int = 1,
) -> Json:
    """The Job of a run. It replaces failed pods up to its limit, and fails at once if a pod rejects its input."""
    workload = resource.kind.lower()
    deadline = resource.spec.active_deadline_seconds
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": names.child_metadata(resource),
        "spec": {
            "completionMode": "Indexed",
            "completions": completions,
            "parallelism": parallelism,
            "backoffLimit": BACKOFF_LIMIT * completions,
            **({"activeDeadlineSeconds": deadline} if deadline is not None else {}),
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": workload,
                            "operator": "In",
                            "values": [EXIT_BAD_INPUT],
                        },
                    }
                ]
            },
            "template": {
                "metadata": {"labels": names.labels(resource)},
                "spec": _pod(resource, workload, settings, extra_env or {}, keyed),
            },
        },
    }


def part_pod(resource: AnyResource, workload: str, settings: Settings, extra_env: dict[str, str]) -> Json:
    """The pod spec of another workload of the same resource, such as its transforms: without the resource's files."""
    return _pod(resource, workload, settings, extra_env, keyed=False)


def key_secret(resource: AnyResource, settings: Settings) -> Json:
    """The Secret with a resource's key: it signs the results of a Backtest, and the controls of any other."""
    metadata = resource.metadata
    if isinstance(resource, Backtest):
        key = run_key(settings.results_key, metadata.namespace, metadata.uid)
    else:
        key = names.control_key(settings.operator_key, metadata.uid)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.child_metadata(resource),
        "data": {KEY: b64encode(key.encode()).decode()},
    }


def _pod(resource: AnyResource, workload: str, settings: Settings, extra_env: dict[str, str], keyed: bool) -> Json:
    resources = with_defaults(resource.spec.resources, settings.resources.get(workload))
    volumes = _volumes(resource, workload, settings, keyed, scratch_volume(resources))
    return _placement(resource, settings) | {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            _container(resource, workload, settings, extra_env, keyed, resources)
            | {"volumeMounts": [{"name": name, **mount} for name, _, mount in volumes]}
        ],
        "volumes": [{"name": name, **source} for name, source, _ in volumes],
    }


def _volumes(
    resource: AnyResource, workload: str, settings: Settings, keyed: bool, scratch: Json
) -> list[tuple[str, Json, Json]]:
    """Name, source and mount of each volume of a pod."""
    read_only = {"readOnly": True}
    volumes: list[tuple[str, Json, Json]] = [
        (
            "connections",
            {"secret": {"secretName": CONNECTIONS_SECRET, "items": _items(workload)}},
            {"mountPath": CONNECTIONS_PATH, **read_only},
        ),
        ("tmp", scratch, {"mountPath": "/tmp"}),
    ]
    if keyed:
        source = {"secret": {"secretName": names.child_name(resource), "items": _keys((KEY,))}}
        volumes.append(("key", source, {"mountPath": KEY_PATH, **read_only}))
    files = _files(resource, workload)
    if files is not None and files.credentials_secret is not None:
        source = optional_keys(files.credentials_secret, FILE_CREDENTIALS)
        volumes.append(("file-credentials", source, {"mountPath": FILE_CREDENTIALS_PATH, **read_only}))
    folder = resource.metadata.annotations.get(names.APPLIED_FROM)
    volume = files.volume if files is not None else _strategy_volume(resource)
    if volume is not None:
        volumes.append(("files", _volume(volume), {"mountPath": settings.files, **read_only}))
    elif settings.files_beside_resource and folder is not None:
        volumes.append(("files", {"hostPath": {"path": folder}}, {"mountPath": settings.files, **read_only}))
    return volumes


def _files(resource: AnyResource, workload: str) -> Files | None:
    if workload != resource.kind.lower() or isinstance(resource, Backtest) or resource.spec.source is None:
        return None
    return resource.spec.source.files


def _strategy_volume(resource: AnyResource) -> FileVolume | None:
    """The ConfigMap with the code of a Backtest's strategy; None if the code is in the image."""
    config_map = resource.spec.strategy.config_map if isinstance(resource, Backtest) else None
    return FileVolume(config_map=config_map) if config_map is not None else None


def _volume(volume: FileVolume) -> Json:
    if volume.config_map is not None:
        return {"configMap": {"name": volume.config_map}}
    return {"persistentVolumeClaim": {"claimName": volume.claim, "readOnly": True}}


def _placement(resource: AnyResource, settings: Settings) -> Json:
    spec = resource.spec.model_dump(by_alias=True, exclude_none=True, include={"node_selector", "tolerations"})
    secrets = [{"name": name} for name in settings.pull_secrets]
    return {**spec, **({"imagePullSecrets": secrets} if secrets else {})}


def optional_keys(secret: str, keys: Sequence[str]) -> Json:
    """The volume of a user's Secret: of these keys, those that it has, and none while the Secret is missing."""
    return {"secret": {"secretName": secret, "items": _keys(keys), "optional": True}}


def _keys(keys: Sequence[str]) -> list[Json]:
    return [{"key": key, "path": key} for key in keys]


def _items(workload: str) -> list[Json]:
    return [{"key": f"{workload}.{name}", "path": name} for name in CONNECTION_FIELDS]


def _container(
    resource: AnyResource,
    workload: str,
    settings: Settings,
    extra_env: dict[str, str],
    keyed: bool,
    resources: Resources | None,
) -> Json:
    chosen: Json = {}
    if resources is not None:
        chosen["resources"] = resources.model_dump(exclude_none=True)
    if settings.pull_policy is not None:
        chosen["imagePullPolicy"] = settings.pull_policy
    return chosen | {
        "name": workload,
        "image": settings.images[workload],
        "env": _environment(resource, workload, settings, extra_env, keyed, resources),
        "ports": [{"name": "http", "containerPort": settings.http_port}],
        "terminationMessagePath": TERMINATION_LOG,
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(
    resource: AnyResource,
    workload: str,
    settings: Settings,
    extra: dict[str, str],
    keyed: bool,
    resources: Resources | None,
) -> list[Json]:
    # With the resources in effect: a Backtest limits the strategy's memory before the kernel does.
    spec = resource.spec.model_copy(update={"resources": resources})
    values = {
        "TAPEDECK_NAME": resource.metadata.name,
        "TAPEDECK_KIND": resource.kind,
        "TAPEDECK_NAMESPACE": resource.metadata.namespace,
        "TAPEDECK_UID": resource.metadata.uid,
        "TAPEDECK_SPEC": spec.model_dump_json(by_alias=True, exclude_none=True),
        "TAPEDECK_HTTP_HOST": settings.http_host,
        "TAPEDECK_HTTP_PORT": str(settings.http_port),
        "TAPEDECK_CONNECTIONS": CONNECTIONS_PATH,
        "TAPEDECK_FILES": settings.files,
        "TAPEDECK_TERMINATION_LOG": TERMINATION_LOG,
        "TAPEDECK_IMAGE": settings.images[workload],
        **extra,
    }
    if settings.endpoints is not None:
        values["TAPEDECK_ENDPOINTS"] = settings.endpoints
    if settings.tracing is not None:
        values |= tracing_environment(settings.tracing)
    files = _files(resource, workload)
    if files is not None and files.credentials_secret is not None:
        values["TAPEDECK_FILE_CREDENTIALS"] = FILE_CREDENTIALS_PATH
    if keyed:
        use = "RUN" if isinstance(resource, Backtest) else "CONTROL"
        values[f"TAPEDECK_{use}_KEY_FILE"] = f"{KEY_PATH}/{KEY}"
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        {"name": "TAPEDECK_SHARD", "valueFrom": {"fieldRef": {"fieldPath": INDEX_FIELD}}},
    ]


def tracing_environment(tracing: Tracing) -> dict[str, str]:
    """OpenTelemetry's standard variables."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(tracing.sample_ratio),
    }


def with_shard(env: Sequence[Json], shard: int) -> list[Json]:
    """The environment of a Deployment's pod: it has no job-completion-index, so TAPEDECK_SHARD is a constant."""
    return [v for v in env if v["name"] != "TAPEDECK_SHARD"] + [{"name": "TAPEDECK_SHARD", "value": str(shard)}]
