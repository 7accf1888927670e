"""The name under which a client is counted."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64  # that one site gets at least: a client could take any address in it


def client_key(host: str | None) -> str:
    """The IPv4 address of a client, or the /64 network of its IPv6 address; the text itself where it is no address."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, IPV6_PREFIX), strict=False))
