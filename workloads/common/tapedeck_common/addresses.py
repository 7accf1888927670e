"""The network addresses that URLs of a resource may lead to: public ones, and those that the installation names."""

from __future__ import annotations

import errno
import socket
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Names that only a cluster or a local network resolves.
_INTERNAL_SUFFIXES = (".svc", ".local", ".localhost", ".internal", ".arpa")
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # other IPv6 addresses are local, or translated to an IPv4 address
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32", "192.0.0.0/24",  # services of clouds
            "192.88.99.0/24", "2001::/32", "2002::/16",  # relays, and what they translate to an IPv4 address
        ),
    )
)  # fmt: skip


class AddressRefused(OSError):
    """A host may not be connected to."""

    def __init__(self, host: str, what: str) -> None:
        super().__init__(
            errno.EACCES, f"{host} {what}, expected a public address or an endpoint that the installation allows"
        )


def _checked_entry(text: str) -> str:
    if "/" in text:
        ip_network(text)
    return text


class EndpointPolicy(BaseModel):
    """``allow`` has host names (``minio.storage.svc``, ``*.example.com``), addresses and networks (``10.1.0.0/16``).

    Without ``public`` they are the only endpoints; otherwise every public address is one, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    public: bool = True
    allow: tuple[Annotated[str, AfterValidator(_checked_entry)], ...] = Field(default=())

    def connection_to(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host, each of which may be connected to. Raises OSError, AddressRefused among them."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses:
            self.check(host, address)
        return addresses

    def check(self, host: str, address: str) -> None:
        """Raise AddressRefused unless ``address``, to which ``host`` resolves, may be connected to."""
        ip = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if any(_covers(entry, host.lower().rstrip("."), ip) for entry in self.allow):
            return
        if not self.public:
            raise AddressRefused(host, "is no endpoint of the installation")
        if not _is_address(host) and _is_internal(host.lower().rstrip(".")):
            raise AddressRefused(host, "is a name of a cluster or a local network")
        if not _is_public(ip):
            raise AddressRefused(host, "is not public" if host == address else f"is {address}, which is not public")


def _covers(entry: str, host: str, ip: IPv4Address | IPv6Address) -> bool:
    if "/" in entry:
        return ip in ip_network(entry)
    return ip == ip_address(entry) if _is_address(entry) else fnmatchcase(host, entry.lower())


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_internal(host: str) -> bool:
    return "." not in host or host.endswith(_INTERNAL_SUFFIXES)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)
