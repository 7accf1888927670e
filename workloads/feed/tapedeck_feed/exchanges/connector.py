"""Connections to exchanges: each is checked after the name is resolved, that of a redirect, too."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from tapedeck_common.addresses import EndpointPolicy


def checked_connector(policy: EndpointPolicy, **options: Any) -> aiohttp.TCPConnector:
    """A connector to what the policy permits; other hosts are unreachable. ``options`` are TCPConnector's."""
    resolver = _CheckedResolver(policy)
    return aiohttp.TCPConnector(resolver=resolver, socket_factory=resolver.open_socket, **options)


class _CheckedResolver(AbstractResolver):
    def __init__(self, policy: EndpointPolicy) -> None:
        self._policy = policy
        self._resolver = ThreadedResolver()
        self._checked: dict[str, None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressRefused, an OSError."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._policy.check(host, each["host"])
        self._checked = {**self._checked, **dict.fromkeys(each["host"] for each in found)}
        return found

    async def close(self) -> None:
        await self._resolver.close()

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that was resolved, or stands in the URL. Raises AddressRefused."""
        family, kind, protocol, _, (address, *_) = info
        if address not in self._checked:
            self._policy.check(address, address)
        return socket.socket(family, kind, protocol)
