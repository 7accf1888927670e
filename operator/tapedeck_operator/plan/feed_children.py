"""The children of a Feed that connects to an exchange: their manifests, and the changes that bring them about."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tapedeck_crds.backfill import Backfill
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.secrets import EXCHANGE_KEYS
from tapedeck_operator.plan import names, pods
from tapedeck_operator.plan.job_plan import is_suspended
from tapedeck_operator.plan.network_policy import contains, network_policy
from tapedeck_operator.plan.types import Observed, Patch, Settings

KEYS_PATH = "/etc/tapedeck/exchange"
HTTPS = 443
_PORTS = {"https": HTTPS, "wss": HTTPS, "http": 80, "ws": 80}


@dataclass(frozen=True)
class ChildChanges:
    """The changes to one part of a resource's children. Added together they are those of the whole."""

    apply: tuple[Json, ...] = ()
    patches: tuple[Patch, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: ChildChanges) -> ChildChanges:
        return ChildChanges(self.apply + other.apply, self.patches + other.patches, self.delete + other.delete)


def live_deployment(feed: Feed, settings: Settings, shard: int) -> Json:
    """The Deployment of a live shard: never two pods at once, and none while the Feed is suspended."""
    template = pods.run_job(feed, settings)["spec"]["template"]
    labels = {**template["metadata"]["labels"], names.SHARD_LABEL: str(shard)}
    pod = {**template["spec"], "restartPolicy": "Always"}
    container = pod["containers"][0]
    container["env"] = pods.with_shard(container["env"], shard)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**names.child_metadata(feed), "name": f"{names.child_name(feed)}-{shard}"},
        "spec": {
            "replicas": 0 if is_suspended(feed) else 1,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {names.UID_LABEL: feed.metadata.uid, names.SHARD_LABEL: str(shard)}},
            "template": {"metadata": {"labels": labels}, "spec": _with_keys(feed, pod)},
        },
    }


def backfill_job(feed: Feed, backfill: Backfill, now_ms: int, settings: Settings) -> Json:
    """The Indexed Job of a backfill, with one pod for each shard of the range.

    The end of an open range is fixed here, so that all pods, restarted ones included, divide the same range.
    """
    until = {"TAPEDECK_BACKFILL_UNTIL": str(now_ms)}
    job = pods.run_job(feed, settings, extra_env=until, completions=backfill.shards, parallelism=backfill.shards)
    job["spec"]["template"]["spec"] = _with_keys(feed, job["spec"]["template"]["spec"])
    return job


def missing_policy(feed: Feed, observed: Observed, settings: Settings) -> tuple[Json, ...]:
    """The NetworkPolicy with access to the exchange, if it is missing or has been changed."""
    policy = network_policy(feed, settings, ports=_exchange_ports(feed))
    return (policy,) if policy is not None and not contains(observed.policy, policy) else ()


def _with_keys(feed: Feed, pod: Json) -> Json:
    """A pod spec with the Feed's exchange keys mounted, if its spec names a Secret."""
    if feed.spec.api_key_secret is None:
        return pod
    container = pod["containers"][0]
    mounted = container | {
        "env": [*container["env"], {"name": "TAPEDECK_EXCHANGE_KEYS", "value": KEYS_PATH}],
        "volumeMounts": [
            *container["volumeMounts"], {"name": "exchange", "mountPath": KEYS_PATH, "readOnly": True},
        ],
    }  # fmt: skip
    volume = {"name": "exchange", **pods.optional_keys(feed.spec.api_key_secret, EXCHANGE_KEYS)}
    return pod | {"containers": [mounted], "volumes": [*pod["volumes"], volume]}


def _exchange_ports(feed: Feed) -> tuple[int, ...]:
    """The TCP ports of the exchange: HTTPS, and those of ``spec.endpoints``."""
    addresses = [] if feed.spec.endpoints is None else [feed.spec.endpoints.rest, feed.spec.endpoints.websocket]
    parts = [urlsplit(address) for address in addresses if address is not None]
    return tuple(sorted({HTTPS, *(part.port or _PORTS[part.scheme] for part in parts)}))
