"""Runs a pod template as a local process, with the image, arguments, environment and files that it has on a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.image import with_digest
from tapedeck_deck.embedded.processes import Process
from tapedeck_operator.plan.observer import INDEX_ANNOTATION
from tapedeck_operator.plan.pods import INDEX_FIELD
from tapedeck_operator.plan.reasons import NOT_STARTING
from tapedeck_operator.reconcile.errors import ObjectNotFound

_POD_FIELDS = {
    "restartPolicy", "terminationGracePeriodSeconds", "automountServiceAccountToken", "enableServiceLinks",
    "securityContext", "containers", "volumes", "nodeSelector", "tolerations",
}  # fmt: skip
_CONTAINER_FIELDS = {
    "name", "image", "args", "env", "ports", "volumeMounts", "terminationMessagePath", "livenessProbe",
    "readinessProbe", "securityContext", "resources",
}  # fmt: skip


class UnsupportedTemplate(InvalidInput):
    """A pod template uses a field that only a cluster supports."""


class Start(Protocol):
    """Starts a module with arguments and appends its output to ``log``."""

    def __call__(
        self, module: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
    ) -> Process: ...


Lookup = Callable[[str, str], Json]
"""(kind, name) → the object of that kind in the pod's namespace. Raises ObjectNotFound."""


@dataclass
class PodProcess:
    """One running pod."""

    name: str
    folder: Path
    process: Process
    grace: float
    stopping_since: float | None = None

    @property
    def url(self) -> str | None:
        """The URL of its probes; None until the process has written its port file."""
        try:
            return f"http://127.0.0.1:{int((self.folder / 'port').read_text())}"
        except (FileNotFoundError, ValueError):
            return None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + signal number after a signal, as a kubelet reports it."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    @property
    def termination_message(self) -> str:
        path = self.folder / "termination"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel ends it as soon as it can
            self.process.wait(timeout=5)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, then SIGKILL after the grace period. Call repeatedly until the process has ended."""
        if self.process.poll() is not None:
            return
        if self.stopping_since is None:
            self.stopping_since = time.monotonic()
            self.process.send_signal(signal.SIGTERM)
        elif time.monotonic() - self.stopping_since > self.grace:
            self.process.kill()


def start_pod(pod: Json, *, start: Start, folder: Path, log: Path, lookup: Lookup) -> PodProcess:
    """Start the process of a Pod. Raises UnsupportedTemplate, or ObjectNotFound for a missing Secret or ConfigMap."""
    spec = pod["spec"]
    container = _only_container(spec)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    paths = _mount(spec, container, folder, lookup)
    environment = _environment(pod, container, paths) | {
        "TAPEDECK_PORT_FILE": str(folder / "port"),
        "TAPEDECK_DECK_HOME": str(folder.parents[1]),
        "TMPDIR": paths.get("/tmp", str(folder)),
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    if "TAPEDECK_IMAGE" in environment:  # a Backtest stores it with its results
        environment["TAPEDECK_IMAGE"] = with_digest(container["image"])
    process = start(container["image"], container.get("args", []), log=log, env=environment, cwd=folder)
    grace = float(spec.get("terminationGracePeriodSeconds", 30))
    return PodProcess(pod["metadata"]["name"], folder, process, grace)


def kubernetes_pod(pod: Json) -> Json:
    """A Pod object as an API server shows it: the deck keeps a flat status, and a port that the process chose."""
    status = pod.get("status", {})
    shown: Json = {"phase": status.get("phase", "Pending"), "message": status.get("problem", "")}
    if status.get("reason"):
        shown["reason"] = status["reason"]
    spec = pod["spec"]
    if (url := status.get("url")) is not None:
        shown["podIP"], port = url.removeprefix("http://").split(":")
        ports = [{"name": "http", "containerPort": int(port)}]
        spec = spec | {"containers": [spec["containers"][0] | {"ports": ports}]}
    if shown["phase"] == "Pending" and shown["message"]:
        shown["containerStatuses"] = [{"state": {"waiting": {"reason": NOT_STARTING, "message": shown["message"]}}}]
    if "exitCode" in status:
        ended = {"exitCode": status["exitCode"], "message": status.get("terminationMessage", "")}
        shown["containerStatuses"] = [{"state": {"terminated": ended}}]
    return {**pod, "spec": spec, "status": shown}


def _only_container(spec: Json) -> Json:
    _require_supported("pod", spec, _POD_FIELDS)
    if len(spec["containers"]) != 1:
        raise UnsupportedTemplate("the embedded deck supports pods of one container only")
    container: Json = spec["containers"][0]
    _require_supported("container", container, _CONTAINER_FIELDS)
    return container


def _require_supported(what: str, given: Json, known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise UnsupportedTemplate(f"the embedded deck does not support the {what} field {', '.join(unknown)}")


def _mount(spec: Json, container: Json, folder: Path, lookup: Lookup) -> dict[str, str]:
    """Create the volumes; returns mount path → local path."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    paths = {container.get("terminationMessagePath", "/dev/termination-log"): str(folder / "termination")}
    for mount in container.get("volumeMounts", []):
        volume = volumes[mount["name"]]
        if "hostPath" in volume:
            paths[mount["mountPath"]] = volume["hostPath"]["path"]
            continue
        target = folder / "volumes" / mount["name"]
        target.mkdir(parents=True, mode=0o700)
        _write_volume(volume, target, lookup)
        paths[mount["mountPath"]] = str(target)
    return paths


def _write_volume(volume: Json, target: Path, lookup: Lookup) -> None:
    if "secret" in volume:
        source = volume["secret"]
        content = _secret(source, lookup)
    elif "configMap" in volume:
        source = volume["configMap"]
        content = {k: v.encode() for k, v in lookup("ConfigMap", source["name"]).get("data", {}).items()}
    elif "emptyDir" in volume:
        return
    else:
        raise UnsupportedTemplate(
            f"the embedded deck does not support volumes of kind {', '.join(set(volume) - {'name'})}"
        )
    items = source.get("items") or [{"key": key, "path": key} for key in content]
    for item in items:
        if item["key"] in content:
            path = target / item["path"]
            path.touch(mode=0o600)
            path.write_bytes(content[item["key"]])


def _secret(source: Json, lookup: Lookup) -> dict[str, bytes]:
    """The content of a volume's Secret. Raises ObjectNotFound unless the Secret is optional."""
    try:
        secret = lookup("Secret", source["secretName"])
    except ObjectNotFound:
        if source.get("optional"):
            return {}
        raise
    return {key: b64decode(value) for key, value in secret.get("data", {}).items()}


def _environment(pod: Json, container: Json, paths: dict[str, str]) -> dict[str, str]:
    metadata = pod["metadata"]
    fields = {
        INDEX_FIELD: metadata.get("annotations", {}).get(INDEX_ANNOTATION, "0"),
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
    }
    values: dict[str, str] = {}
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            field_path = variable["valueFrom"].get("fieldRef", {}).get("fieldPath")
            if field_path not in fields:
                raise UnsupportedTemplate(f"the embedded deck does not support env {json.dumps(variable['valueFrom'])}")
            values[variable["name"]] = fields[field_path]
        else:
            values[variable["name"]] = _to_local_path(variable.get("value", ""), paths)
    return values


def _to_local_path(value: str, paths: dict[str, str]) -> str:
    for mounted, local in paths.items():
        if value == mounted or value.startswith(mounted + "/"):
            return local + value[len(mounted) :]
    return value
