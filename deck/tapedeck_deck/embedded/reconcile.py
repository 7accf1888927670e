"""One pass over the deck's resources: observe, plan, apply."""

from __future__ import annotations

import time

import httpx
import structlog

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS, AnyResource, Feed, Replay
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport, Report
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.embedded.controllers import resource_uid
from tapedeck_deck.embedded.objects import NotFound, Objects
from tapedeck_deck.embedded.pods import INDEX_ANNOTATION
from tapedeck_deck.embedded.reports import Reports
from tapedeck_operator.plan import Observed, ObservedPod, Patch, Plan, Settings, plan
from tapedeck_operator.plan.fill import fill_name
from tapedeck_operator.plan.names import PART_LABEL, SHARD_LABEL, UID_LABEL, child_name, referenced_replay

log = structlog.get_logger()

_REPORTS: dict[str, type[Report]] = {"Feed": FeedReport, "Replay": ReplayReport, "Backtest": BacktestReport}


class Reconciler:
    """Brings every resource nearer to its spec; one bad resource stops no other."""

    def __init__(self, objects: Objects, reports: Reports, settings: Settings) -> None:
        self._objects = objects
        self._reports = reports
        self._settings = settings
        self._client = httpx.Client(timeout=2.0, trust_env=False)

    def tick(self) -> None:
        """One pass."""
        pods = self._objects.list("Pod")
        for kind in KINDS:
            for document in self._objects.list(kind):
                if _settled(document):
                    continue
                try:
                    self._reconcile(parse_resource(document), pods)
                except NotFound:
                    continue  # deleted meanwhile
                except Exception:  # whatever is wrong with one must not stop the others
                    log.exception("cannot reconcile", kind=kind, name=document["metadata"]["name"])

    def _reconcile(self, resource: AnyResource, pods: list[Json]) -> None:
        observed = self._observe(resource, pods)
        self._apply(resource, plan(resource, observed, int(time.time() * 1000), self._settings))

    def _observe(self, resource: AnyResource, pods: list[Json]) -> Observed:
        metadata = resource.metadata
        seen = [self._seen(pod, _REPORTS[resource.kind]) for pod in pods if resource_uid(pod) == metadata.uid]
        wanted = referenced_replay(resource)
        return Observed(
            job=self._find("Job", metadata.namespace, child_name(resource)),
            pods=tuple(pod for pod in seen if not pod.part),
            transform_pods=tuple(pod for pod in seen if pod.part),
            replay=self._replay(metadata.namespace, wanted) if wanted is not None else None,
            followers=self._followers(metadata.namespace, metadata.name) if resource.kind == "Replay" else (),
            active_feeds=self._feeds(metadata.namespace),
            fill_feed=self._fill(resource) if isinstance(resource, Replay) else None,
            deployments=self._deployments(metadata.namespace, metadata.uid),
        )

    def _find(self, kind: str, namespace: str, name: str) -> Json | None:
        try:
            found: Json = self._objects.get(kind, namespace, name)
        except NotFound:
            return None
        return found

    def _replay(self, namespace: str, name: str) -> Replay | None:
        document = self._find("Replay", namespace, name)
        found = parse_resource(document) if document is not None else None
        return found if isinstance(found, Replay) else None

    def _followers(self, namespace: str, name: str) -> tuple[Replay, ...]:
        found = (parse_resource(document) for document in self._objects.list("Replay", namespace))
        return tuple(r for r in found if isinstance(r, Replay) and not r.finished and referenced_replay(r) == name)

    def _feeds(self, namespace: str) -> tuple[Feed, ...]:
        found = (parse_resource(document) for document in self._objects.list("Feed", namespace))
        return tuple(feed for feed in found if isinstance(feed, Feed) and not feed.finished)

    def _fill(self, replay: Replay) -> Feed | None:
        document = self._find("Feed", replay.metadata.namespace, fill_name(replay))
        found = parse_resource(document) if document is not None else None
        return found if isinstance(found, Feed) else None

    def _deployments(self, namespace: str, uid: str) -> tuple[Json, ...]:
        found = self._objects.list("Deployment", namespace)
        return tuple(one for one in found if one["metadata"].get("labels", {}).get(UID_LABEL) == uid)

    def _seen(self, pod: Json, kind: type[Report]) -> ObservedPod:
        status = pod.get("status", {})
        said = status.get("terminationMessage") or self._reports.of(pod["metadata"]["uid"])
        return ObservedPod(
            name=pod["metadata"]["name"],
            index=int(
                pod["metadata"]["annotations"].get(INDEX_ANNOTATION, pod["metadata"]["labels"].get(SHARD_LABEL, 0))
            ),
            phase=status.get("phase", "Pending"),
            url=status.get("url"),
            report=_parse(kind, said) if said else None,
            exit_code=status.get("exitCode"),
            problem=status.get("problem", ""),
            in_job=INDEX_ANNOTATION in pod["metadata"]["annotations"],
            part=pod["metadata"]["labels"].get(PART_LABEL, ""),
        )

    def _apply(self, resource: AnyResource, wanted: Plan) -> None:
        metadata = resource.metadata
        if wanted.expired:
            self._objects.delete(resource.kind, metadata.namespace, metadata.name, uid=metadata.uid)
            return
        for manifest in wanted.apply:
            self._objects.apply(manifest)
        for patch in wanted.patches:
            self._patch(metadata.namespace, patch)
        for kind, name in wanted.delete:
            self._objects.delete(kind, metadata.namespace, name)
        self._objects.set_status(resource.kind, metadata.namespace, metadata.name, wanted.status, uid=metadata.uid)
        for push in wanted.control_requests:
            self._push(push.url, push.body, push.signature)
        for event in wanted.events:
            self._objects.add_event(
                {
                    "uid": metadata.uid,
                    "kind": resource.kind,
                    "name": metadata.name,
                    "namespace": metadata.namespace,
                    "type": event.type,
                    "reason": event.reason,
                    "message": event.message,
                    "at": format_ms(time.time_ns() // 1_000_000),
                }
            )

    def _patch(self, namespace: str, patch: Patch) -> None:
        child = self._objects.get(patch.kind, namespace, patch.name)
        child["spec"] |= patch.spec
        self._objects.apply(child)

    def _push(self, url: str, body: bytes, signature: str) -> None:
        try:
            answer = self._client.post(url, content=body, headers={"x-tapedeck-signature": signature})
        except httpx.HTTPError as error:
            log.warning("control not delivered, will be tried again", url=url, reason=str(error))
            return
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            log.error("control refused", url=url, status=answer.status_code, reason=answer.text[:300])


def _settled(document: Json) -> bool:
    status = document.get("status", {})
    told = status.get("observedGeneration", 0) >= document["metadata"]["generation"]
    return status.get("phase") in FINAL_PHASES and told and document["spec"].get("ttlSecondsAfterFinished") is None


def _parse(kind: type[Report], said: str | bytes) -> Report | None:
    try:
        return kind.model_validate_json(said)
    except ValueError:
        return None  # a termination message of something else, such as a crash before the first report
