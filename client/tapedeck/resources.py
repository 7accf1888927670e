"""Feeds, Replays and Backtests as the gateway serves them, and the states that they pass through."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from tapedeck.errors import BadRequest
from tapedeck.transport import Transport

Document: TypeAlias = dict[str, Any]
Plural: TypeAlias = Literal["feeds", "replays", "backtests"]

API_VERSION = "tapedeck.dev/v1alpha1"
KINDS: dict[str, Plural] = {"Feed": "feeds", "Replay": "replays", "Backtest": "backtests"}
FINAL = frozenset({"Complete", "Degraded", "Failed"})
NAME_MAX = 40
KEPT_SECONDS = 86_400  # for which a finished resource of a notebook is kept; its results stay in the store


def quoted(text: str) -> str:
    """The text as one part of a path."""
    return quote(text, safe="")


def path_of(plural: Plural, namespace: str, name: str = "") -> str:
    """The path of a resource, or of all of a namespace."""
    path = f"/namespaces/{quoted(namespace)}/{plural}"
    return f"{path}/{quoted(name)}" if name else path


def create(transport: Transport, namespace: str, kind: str, name: str, spec: Mapping[str, Any]) -> Document:
    """Create a resource; returns it as it is kept. Raises ClientError."""
    document = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec),
    }
    made: Document = transport.send("POST", path_of(KINDS[kind], namespace), document)
    return made


def read(transport: Transport, plural: Plural, namespace: str, name: str) -> Document:
    """The resource with its status. Raises ClientError."""
    found: Document = transport.get(path_of(plural, namespace, name))
    return found


def delete(transport: Transport, plural: Plural, namespace: str, name: str) -> None:
    """Delete a resource. Raises ClientError."""
    transport.send("DELETE", path_of(plural, namespace, name))


def status_of(resource: Document) -> Document:
    """The status; empty before the first."""
    status: Document = resource.get("status") or {}
    return status


def phase_of(resource: Document) -> str:
    """The state in one word: Pending, Running, Paused, Suspended, Complete, Degraded or Failed."""
    return str(status_of(resource).get("phase") or "Pending")


def message_of(resource: Document) -> str:
    """The cause of the state, and what to do."""
    return str(status_of(resource).get("message") or f"its phase is {phase_of(resource)}")


def new_name(base: str) -> str:
    """A name that no other resource has: a readable part and a random one."""
    return f"{name_part(base)[: NAME_MAX - 7].rstrip('-')}-{secrets.token_hex(3)}"


def name_part(text: str) -> str:
    """The text in the characters of a resource's name: MyCross → my-cross."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "notebook"


def split_symbol(text: str) -> tuple[str, str]:
    """exchange:SYMBOL → (exchange, symbol). Raises BadRequest."""
    exchange, colon, symbol = text.partition(":")
    if not colon or not exchange or not symbol or "/" in exchange:
        raise BadRequest(f"symbol: got {text!r}, expected exchange:SYMBOL such as coinbase:BTC/USD")
    return exchange, symbol


def store_range(symbols: str | list[str], interval: str, start: str | None, end: str | None) -> Document:
    """A range of the store in a spec: symbols of one exchange. Raises BadRequest."""
    pairs = [split_symbol(symbol) for symbol in ([symbols] if isinstance(symbols, str) else symbols)]
    if not pairs:
        raise BadRequest("symbols: got none, expected at least one such as coinbase:BTC/USD")
    exchanges = sorted({exchange for exchange, _ in pairs})
    if len(exchanges) > 1:
        raise BadRequest(f"symbols: got exchanges {', '.join(exchanges)}, expected symbols of one exchange")
    found: Document = {"exchange": exchanges[0], "symbols": [symbol for _, symbol in pairs], "interval": interval}
    return found | ({"from": start} if start else {}) | ({"to": end} if end else {})
