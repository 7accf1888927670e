"""The deck's own metrics, and where those of its pods are: what a Prometheus beside it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.registry import REGISTRY

from tapedeck_common.metrics import METRICS_CONTENT_TYPE, render_metrics
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.plan.names import KIND_LABEL, PART_LABEL, SHARD_LABEL
from tapedeck_operator.plan.observer import INDEX_ANNOTATION
from tapedeck_operator.reconcile.resource_metrics import ResourceMetrics

HOST = "127.0.0.1"
NAME_LABEL, INSTANCE_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"


class MetricsServer:
    """Serves /metrics with those of the resources, and /targets with every pod for Prometheus' HTTP discovery."""

    def __init__(self, objects: Objects, port: int) -> None:
        self._objects = objects
        self._port = port

    @property
    def targets_url(self) -> str:
        """Where Prometheus asks for what to scrape."""
        return f"http://{HOST}:{self._port}/targets"

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError where the port is taken."""
        resources = ResourceMetrics(lambda kind: self._objects.list(kind))
        REGISTRY.register(resources)
        runner = web.AppRunner(self._application(), access_log=None)
        try:
            await runner.setup()
            await web.TCPSite(runner, HOST, self._port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            REGISTRY.unregister(resources)

    def _application(self) -> web.Application:
        async def metrics(_: web.Request) -> web.Response:
            body = await asyncio.to_thread(render_metrics)  # another process may hold the lock of the objects' file
            return web.Response(body=body, headers={"Content-Type": METRICS_CONTENT_TYPE})

        async def targets(_: web.Request) -> web.Response:
            own = {"targets": [f"{HOST}:{self._port}"], "labels": {"job": "operator"}}
            return web.json_response([own, *pod_targets(await asyncio.to_thread(self._objects.list_unfinished, "Pod"))])

        application = web.Application()
        application.router.add_get("/metrics", metrics)
        application.router.add_get("/targets", targets)
        return application


def pod_targets(pods: Iterable[Json]) -> list[Json]:
    """The targets of running pods, with the labels that the chart's monitors give them."""
    found = []
    for pod in pods:
        url = pod.get("status", {}).get("url")
        if url is not None and pod["status"].get("phase") == "Running":
            found.append({"targets": [url.removeprefix("http://")], "labels": series_labels(pod)})
    return found


def series_labels(pod: Json) -> dict[str, str]:
    """What each series of a pod has beside its own labels."""
    metadata = pod["metadata"]
    labels: dict[str, str] = metadata.get("labels", {})
    found = {
        "job": labels.get(PART_LABEL) or labels.get(NAME_LABEL, ""),
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
    }
    if (kind := labels.get(KIND_LABEL)) is not None:
        shard = metadata.get("annotations", {}).get(INDEX_ANNOTATION) or labels.get(SHARD_LABEL)
        found |= {"kind": kind, "name": labels.get(INSTANCE_LABEL, ""), **({"shard": shard} if shard else {})}
    return found
