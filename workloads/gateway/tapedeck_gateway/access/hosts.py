"""Which hosts a request may address, and the origins whose pages may ask.

A page that a browser loaded from elsewhere can let its own name point to the gateway's address (DNS rebinding). For the
browser the gateway's responses are then the page's own. The name is in the header Host, and so is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>[a-z0-9]([a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")


def host_name(header: str) -> str | None:
    """The name or address in a header Host, without its port; None where it is not valid."""
    match = _HOST.fullmatch(header.lower())
    return match["name"].strip("[]") if match else None


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str, address: str) -> bool:
    try:
        return ip_address(host) == ip_address(address)
    except ValueError:
        return False


class Hosts:
    """The list of hosts: loopback, the address that the client connected to, and what is listed by name or address.

    ``*.example.com`` lists the names below example.com. Ports do not matter: a forwarded port may be any.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        names = [name.lower() for name in listed]
        self._names = {name for name in names if not name.startswith("*")}
        self._suffixes = tuple(name.removeprefix("*") for name in names if name.startswith("*."))

    def allow(self, host: str, own_address: str) -> bool:
        """Whether a request may address ``host``, which came over a connection to ``own_address``."""
        return (
            is_loopback(host)
            or _is_address(host, own_address)
            or host in self._names
            or (bool(self._suffixes) and host.endswith(self._suffixes))
        )


def is_own_address(host: str, own_address: str) -> bool:
    """Whether a request addresses the gateway by the address that it came to, as probes do."""
    return _is_address(host, own_address)


def is_origin_allowed(origin: str, host_header: str, listed: Iterable[str]) -> bool:
    """Whether a page of this origin may ask: the gateway's own, or a listed one.

    ``host_header`` is that of the same request, with its port: another port of loopback is another origin.
    """
    if origin in listed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host_header.lower()
