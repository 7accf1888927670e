"""What the pods need that speak to an exchange, live or for its past: its keys, and the way to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed

KEYS_PATH = "/etc/tapedeck/exchange"
HTTPS = 443
_PORTS = {"https": HTTPS, "wss": HTTPS, "http": 80, "ws": 80}


def with_keys(feed: Feed, pod: Json) -> Json:
    """A pod's spec with the Feed's keys mounted, where it names some."""
    if feed.spec.api_key_secret is None:
        return pod
    container = pod["containers"][0]
    mounted = container | {
        "env": [*container["env"], {"name": "TAPEDECK_EXCHANGE_KEYS", "value": KEYS_PATH}],
        "volumeMounts": [
            *container["volumeMounts"], {"name": "exchange", "mountPath": KEYS_PATH, "readOnly": True},
        ],
    }  # fmt: skip
    volume = {"name": "exchange", "secret": {"secretName": feed.spec.api_key_secret}}
    return pod | {"containers": [mounted], "volumes": [*pod["volumes"], volume]}


def ports_of(feed: Feed) -> tuple[int, ...]:
    """Where the exchange is reached: HTTPS, and what the endpoints name."""
    addresses = [] if feed.spec.endpoints is None else [feed.spec.endpoints.rest, feed.spec.endpoints.websocket]
    parts = [urlsplit(address) for address in addresses if address is not None]
    return tuple(sorted({HTTPS, *(part.port or _PORTS[part.scheme] for part in parts)}))
