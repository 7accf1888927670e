"""The name under which a client is counted."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64  # that one site gets at least: a client could take any address in it
LOOPBACK = "127.0.0.1"  # stands for all of loopback, whose addresses every user of the machine may take
UNKNOWN = "unknown"  # stands for all texts that are no address: a client could make up any number of them
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]+|\[(?P<v6>[0-9A-Fa-f:.%\w]+)\](:[0-9]+)?")


def client_key(host: str | None) -> str:
    """The IPv4 address of a client, or the /64 network of its IPv6 address, without the port that a proxy may name."""
    if not host:
        return ""
    match = _WITH_PORT.fullmatch(host)
    try:
        address = ip_address(host if match is None else match["v4"] or match["v6"])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return LOOPBACK
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))
