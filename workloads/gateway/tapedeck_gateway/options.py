"""The gateway's options: the JSON of ``TAPEDECK_SPEC``."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Model
from tapedeck_crds.resource import NAMESPACE_PATTERN

MESSAGE_BYTES = 4_096  # of a client's WebSocket message


class GatewayLimits(Model):
    """What clients may use.

    A client is the holder of a token, or else an IPv4 address, or the /64 network of an IPv6 address.
    """

    requests_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=100.0, description="Requests and WebSocket messages of one client in the long run."
    )
    request_burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=500, description="Requests of one client at once, above the rate."
    )
    requests_at_once: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=8, description="Requests of one client that are worked on at a time; others wait for up to 10 s."
    )
    connections: Annotated[int, Field(ge=10, le=100_000)] = Field(
        default=2_000, description="Open HTTP connections; WebSockets are counted by themselves."
    )
    connections_per_client: Annotated[int, Field(ge=1, le=100_000)] = 500
    sockets: Annotated[int, Field(ge=1, le=100_000)] = Field(default=1_000, description="Open WebSockets.")
    sockets_per_client: Annotated[int, Field(ge=1, le=100_000)] = 200
    subscriptions: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=32, description="Subscriptions of a WebSocket."
    )
    header_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = Field(
        default=16_384, description="Request line and headers of a request."
    )
    header_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=10.0, description="Time until the headers of a request are complete."
    )
    body_bytes: Annotated[int, Field(ge=1_024, le=1_073_741_824)] = 1_048_576
    body_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0, description="Time from a request's headers until its body is complete."
    )
    keep_alive_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=65.0,
        description="Time for which a connection is kept for the next request; longer than a proxy keeps it.",
    )
    write_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0, description="Time in which a client must read what waits for it."
    )
    stall_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=15.0,
        description="Time after which a WebSocket whose client reads nothing is closed; less than write_seconds, so "
        "that the client can still read why.",
    )
    query_seconds: Annotated[float, Field(ge=0.001, le=600)] = Field(
        default=15.0, description="Time of a query of the database."
    )


def _checked_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError("expected an address or a network like 10.0.0.0/8") from None
    return text


Host: TypeAlias = Annotated[
    str, Field(max_length=255, pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:.]+$")
]
Origin: TypeAlias = Annotated[str, Field(max_length=300, pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")]


class GatewayOptions(Model):
    """Who may ask, and how much."""

    hosts: list[Host] = Field(
        default_factory=list,
        description="Names and addresses that requests may address the gateway by, besides those of loopback and the "
        "address that they come to. `*.example.com` stands for all names below example.com.",
    )
    origins: list[Origin] = Field(
        default_factory=list,
        description="Origins, such as http://localhost:5173, whose pages may ask by REST, UDF and WebSocket, besides "
        "the gateway's own.",
    )
    trusted_proxies: list[Annotated[str, AfterValidator(_checked_network)]] = Field(
        default_factory=list,
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count.",
    )
    namespaces: list[Annotated[str, Field(max_length=63, pattern=NAMESPACE_PATTERN)]] = Field(
        default_factory=list,
        description="Namespaces whose Feeds, Replays and Backtests are shown and changed; all where the list is empty.",
    )
    open_reading: bool = Field(
        default=False,
        description="Reading needs no token, though there are some: changes alone do. For a gateway on loopback.",
    )
    limits: GatewayLimits = GatewayLimits()
    idle_seconds: Annotated[float, Field(gt=0)] = Field(
        default=300.0, description="Time for which a replay's topic is read after its last use."
    )
