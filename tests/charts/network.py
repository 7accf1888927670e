"""Evaluates NetworkPolicies as the Kubernetes API defines them: whether a pod may reach another, or an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from tapedeck_crds.json import Json


@dataclass(frozen=True)
class Pod:
    """A pod, or with ``address`` alone a host outside of the cluster."""

    namespace: str = ""
    labels: Mapping[str, str] | None = None
    address: str = ""


def allowed(policies: Iterable[Json], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether the policies of both ends allow the connection. A pod that no policy selects may do all."""
    every = list(policies)
    return _passes(every, source, target, port, protocol, "Egress") and _passes(
        every, target, source, port, protocol, "Ingress"
    )


def _passes(policies: list[Json], owner: Pod, other: Pod, port: int, protocol: str, direction: str) -> bool:
    if owner.labels is None:
        return True
    selecting = [
        policy["spec"]
        for policy in policies
        if policy["metadata"].get("namespace", "deck") == owner.namespace
        and direction in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], owner.labels)
    ]
    rules, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return not selecting or any(
        _has_port(rule, port, protocol) and (peers not in rule or _any_peer(rule[peers], owner, other))
        for spec in selecting
        for rule in spec.get(rules) or ()
    )


def _has_port(rule: Json, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in ports)


def _any_peer(peers: list[Json], owner: Pod, other: Pod) -> bool:
    """As in the API: an empty list of peers, like none, allows all."""
    return not peers or any(_is_peer(peer, owner, other) for peer in peers)


def _is_peer(peer: Json, owner: Pod, other: Pod) -> bool:
    if (block := peer.get("ipBlock")) is not None:
        return other.address != "" and _in_block(block, other.address)
    if other.labels is None:
        return False
    if "namespaceSelector" in peer:
        if not _matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != owner.namespace:
        return False
    return _matches(peer.get("podSelector", {}), other.labels)


def _in_block(block: Json, address: str) -> bool:
    at = ip_address(address)
    return at in ip_network(block["cidr"]) and not any(at in ip_network(each) for each in block.get("except", ()))


def _matches(selector: Json, labels: Mapping[str, str]) -> bool:
    wanted: dict[str, Any] = selector.get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    for each in selector.get("matchExpressions") or ():
        held = {
            "In": labels.get(each["key"]) in each.get("values", ()),
            "DoesNotExist": each["key"] not in labels,
        }[each["operator"]]
        if not held:
            return False
    return True
